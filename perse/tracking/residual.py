"""Smooth vertex offsets that bring landmarks into place where the head model's bases cannot.

Displacements in the picture plane, seen at the landmarks, are spread over the surface by Gaussian radial basis
functions, coarse to fine, in posed space (where the lips of an open mouth are apart), then carried back to the rest
pose through each vertex's own skinning matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, PosedHead, Region, blend_transforms, pose_head


@dataclass(frozen=True, kw_only=True)
class ResidualConfig:
    """Numbers of the Gaussian radial basis functions, coarse to fine."""

    radii_m: tuple[float, ...] = (0.05, 0.025, 0.012, 0.007)
    """Standard deviations, metres."""
    stiffness: tuple[float, ...] = (0.5, 0.3, 0.2, 0.15)
    """Regulariser added to the kernel's diagonal: 0 interpolates, large values smooth."""


def fit_offsets(
    model: HeadModel,
    head: HeadParameters,
    camera: Camera,
    target_px: Float[Tensor, "n 2"],
    config: ResidualConfig | None = None,
) -> Float[Tensor, "v 3"]:
    """Offsets [v, 3] in the rest pose, metres, on top of `head`'s.

    Args:
        target_px: [l, 2], where the model's landmarks were detected. Iris points are left out: eyes turn, they do
            not bulge.
    """
    config = config or ResidualConfig()
    on_skin = _on_skin(model)
    offsets = head.vertex_offsets.clone()
    for radius, stiffness in zip(config.radii_m, config.stiffness, strict=True):
        current = HeadParameters(head.betas, offsets, head.expression, head.pose)
        posed = pose_head(model, current)
        points = model.landmarks(posed.vertices)
        wanted = _lift_to_plane(points, target_px, camera)[on_skin]
        field = spread(points[on_skin], wanted, posed.vertices, radius, stiffness)
        offsets = offsets + _to_rest(model, posed, _keep_rigid(model, field))
    return offsets


def _on_skin(model: HeadModel) -> Tensor:
    region = model.regions[model.faces[model.landmark_faces, 0]]
    return (region == Region.SKIN) | (region == Region.EARS)


def _lift_to_plane(
    points: Float[Tensor, "n 3"], target_px: Float[Tensor, "n 2"], camera: Camera
) -> Float[Tensor, "n 3"]:
    """World displacement parallel to the picture that brings each point to its pixel: [l, 3] metres."""
    pixels, depth = camera.project(points)
    metres = (target_px - pixels) * depth[:, None] / camera.intrinsics[0, 0]
    in_camera = torch.cat([metres, torch.zeros_like(metres[:, :1])], 1)
    return in_camera @ camera.world_to_camera[:3, :3]


def spread(
    source: Float[Tensor, "n 3"],
    values: Float[Tensor, "n d"],
    at: Float[Tensor, "m 3"],
    radius: float,
    stiffness: float,
) -> Float[Tensor, "m d"]:
    """Values [n, 3] of points [n, 3], carried from values [l, 3] at `source` [l, 3] by Gaussian radial basis functions.

    Args:
        radius: standard deviation; stiffness: 0 meets the values exactly, large values smooth.
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(a, b).square() / (2 * radius**2))

    identity = torch.eye(len(source), dtype=source.dtype)
    coefficients = torch.linalg.solve(kernel(source, source) + stiffness * identity, values)
    return kernel(at, source) @ coefficients


def _keep_rigid(model: HeadModel, field: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3"]:
    """Eyeballs and teeth are moved, not bent: each takes its mean displacement."""
    rigid = field.clone()
    for region in (Region.LEFT_EYE, Region.RIGHT_EYE, Region.UPPER_TEETH, Region.LOWER_TEETH):
        own = model.regions == region
        if own.any():
            rigid[own] = field[own].mean(0)
    return rigid


def _to_rest(model: HeadModel, posed: PosedHead, field: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3"]:
    matrices = blend_transforms(posed.transforms, model.skinning_weights)[..., :3, :3]
    return torch.linalg.solve(matrices, field[..., None])[..., 0]
