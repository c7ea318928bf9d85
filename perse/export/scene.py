"""Gaussians of an edit state without a latent space: what every splat format stores."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from perse.avatar import Avatar
from perse.errors import InputError
from perse.export.views import orbit_centre
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.head import HeadParameters

MIN_OPACITY = 1 / 255
"""A Gaussian that stays below in every frame is drawn by nobody (3DGS) and is left out."""

FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class SplatScene:
    """Gaussians in some frames of an animation, or in one, and how they are meant to be looked at.

    Attributes:
        gaussians: [f, n]; the same Gaussian has the same place in every frame; quaternions are normalised, w ≥ 0.
        fps: frames a second.
        camera: the portrait's view.
        centre: [3], metres; the middle of the head, to orbit around.
    """

    gaussians: Gaussians
    fps: float
    camera: Camera
    centre: Float[Tensor, "3"]

    def __post_init__(self) -> None:
        if self.gaussians.means.ndim != 3 or self.gaussians.colors.shape[-1] != 3:
            raise ValueError(f"expected RGB Gaussians [f, n], got means {tuple(self.gaussians.means.shape)}")

    @property
    def n_frames(self) -> int:
        return self.gaussians.means.shape[0]

    @property
    def n_gaussians(self) -> int:
        return self.gaussians.means.shape[1]

    def still(self, frame: int = 0) -> Gaussians:
        """The Gaussians [n] of one frame."""
        return self.gaussians[frame]


def freeze(avatar: Avatar, code: Float[Tensor, "k d"], frames: HeadParameters, *, fps: float = 25.0) -> SplatScene:
    """The Gaussians of an edit state in a pose or a motion.

    Args:
        code: [k, d].
        frames: expression and pose of one frame or of f.

    Raises:
        InputError: nothing of the avatar is visible or finite; it must be trained again.
    """
    with torch.no_grad():
        canonical = avatar.canonicalise(code.to(avatar.latents.reference))
        motion = avatar.skeleton(frames)
        parts = [
            avatar.pose(canonical, motion[start : start + FRAMES_AT_ONCE]).to("cpu", torch.float32)
            for start in range(0, len(motion), FRAMES_AT_ONCE)
        ]
    whole = Gaussians(*(torch.cat([getattr(p, field.name) for p in parts]) for field in fields(Gaussians)))
    return SplatScene(drawable(whole), fps, avatar.card.camera.to("cpu", torch.float32), orbit_centre(avatar))


def drawable(gaussians: Gaussians) -> Gaussians:
    """The Gaussians [f, n] that somebody can see in some frame, within the bounds that formats rely on.

    Raises:
        InputError: there is none.
    """
    whole = Gaussians(
        gaussians.means, canonical_quaternions(gaussians.quats), gaussians.scales, gaussians.opacities.clamp(0, 1),
        gaussians.colors.clamp(0, 1),
    )  # fmt: skip
    kept = _finite(whole) & (whole.opacities >= MIN_OPACITY).any(0)
    if not kept.any():
        raise InputError("no Gaussian of this avatar is visible; its training went wrong, train it again")
    return Gaussians(*(getattr(whole, field.name)[:, kept] for field in fields(Gaussians)))


def canonical_quaternions(quats: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Unit quaternions [..., 4] (wxyz) of the same rotations with w ≥ 0."""
    unit = torch.nn.functional.normalize(quats, dim=-1)
    return torch.where(unit[..., :1] < 0, -unit, unit)


def _finite(gaussians: Gaussians) -> Bool[Tensor, " n"]:
    """[n], whether a Gaussian is usable in all frames."""
    ok = torch.isfinite(gaussians.opacities).all(0)
    for values in (gaussians.means, gaussians.quats, gaussians.scales, gaussians.colors):
        ok &= torch.isfinite(values).all(-1).all(0)
    return ok & (gaussians.scales > 0).all(-1).all(0) & (gaussians.quats.norm(dim=-1) > 0.5).all(0)
