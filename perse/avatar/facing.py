"""Visibility of the points that close the back (`perse.avatar.backs`): they are for whoever looks from behind.

Seen from the front they lie behind what a training made, which is not opaque everywhere: drawn there they cost 1.3 dB
in unseen poses (sample portrait, laptop recipe). They have an outer side, so they are culled as back faces are.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from perse.gaussians import Gaussians
from perse.geometry import Camera

FADING = 0.15
"""Cosine between outer side and line of sight up to which a point fades: nothing pops up as the camera walks around."""


def culled(gaussians: Gaussians, backs: Bool[Tensor, " n"], camera: Camera) -> Gaussians:
    """Gaussians without the backs that show the camera their inner side.

    Args:
        gaussians: [..., n].
        backs: the points that close the back. Their local z axes point outwards.
        camera: one, or one for each of the leading dimensions.
    """
    if not bool(backs.any()):
        return gaussians
    rotation, translation = camera.world_to_camera[..., :3, :3], camera.world_to_camera[..., :3, 3]
    centre = -(rotation.mT @ translation[..., None])[..., 0]
    towards = torch.nn.functional.normalize(centre[..., None, :] - gaussians.means[..., backs, :], dim=-1)
    cosine = (_outwards(gaussians.quats[..., backs, :]) * towards).sum(-1)
    opacities = gaussians.opacities.clone()
    opacities[..., backs] = opacities[..., backs] * (cosine / FADING).clamp(0, 1)
    return replace(gaussians, opacities=opacities)


def _outwards(quats: Float[Tensor, "... n 4"]) -> Float[Tensor, "... n 3"]:
    """The local z axes in the world."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    return torch.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], -1)
