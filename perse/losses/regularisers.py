"""Regularisers of latents and of the learned head deformation (Eq. 12 and 31)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


def latent_loss(z: Float[Tensor, "... k d"]) -> Float[Tensor, ""]:
    """Mean square of latent codes (Eq. 12): z ~ N(0, small) keeps the space compact."""
    return z.square().mean()


@dataclass(frozen=True, kw_only=True)
class DeformationLossConfig:
    """Weights by which the learned deformation is held to that of the head model (Eq. 31)."""

    expression: float = 1000.0
    """Of the squared difference of expression blendshapes, in metres² (IMavatar's value, whose loss this is)."""
    pose: float = 1000.0
    """Of the squared difference of pose blendshapes, in metres²."""
    skinning: float = 0.1
    """Of the squared difference of skinning weights."""


def deformation_loss(
    expression_basis: Float[Tensor, "n 3 e"],
    pose_basis: Float[Tensor, "n 3 p"],
    skinning_weights: Float[Tensor, "n j"],
    *,
    head_expression_basis: Float[Tensor, "... 3 _"],
    head_pose_basis: Float[Tensor, "... 3 _"],
    head_skinning_weights: Float[Tensor, "... _"],
    point_weights: Float[Tensor, " n"] | None = None,
    config: DeformationLossConfig | None = None,
) -> Float[Tensor, ""]:
    """Distance of each point's E, P, W from those of its place on the head model (Eq. 31).

    Args:
        expression_basis, head_expression_basis: metres; the head's averaged over the nearest vertices.
        pose_basis, head_pose_basis: metres.
        skinning_weights, head_skinning_weights: rows that sum to one. Of one shape, as are the bases.
        point_weights: ≥ 0, e.g. less for points far from the head; None is equal ones.
    """
    config = config or DeformationLossConfig()
    pairs = (
        (config.expression, expression_basis, head_expression_basis),
        (config.pose, pose_basis, head_pose_basis),
        (config.skinning, skinning_weights, head_skinning_weights),
    )
    total = skinning_weights.new_zeros(())
    for weight, learned, given in pairs:
        if learned.shape != given.shape:
            raise ValueError(f"learned and given must have one shape, got {tuple(learned.shape)}, {tuple(given.shape)}")
        per_point = (learned - given.detach()).square().flatten(1).mean(1)  # [n]
        if point_weights is not None:
            per_point = per_point * point_weights / point_weights.mean().clamp(min=1e-12)
        total = total + weight * per_point.mean()
    return total


def decayed(weight: float, epoch: int, *, halve_at: Sequence[int] = (10, 20, 30, 40)) -> float:
    """A weight that is halved at the given epochs (docs/reference.md#method-numbers, the FLAME term)."""
    return float(weight * 0.5 ** sum(epoch >= milestone for milestone in halve_at))


def nearest_mean(
    values: Float[Tensor, "v ..."],
    points: Float[Tensor, "n 3"],
    vertices: Float[Tensor, "v 3"],
    *,
    neighbours: int = 3,
) -> Float[Tensor, "n ..."]:
    """Mean [n, ...] of the values of the nearest mesh vertices at points, inverse-distance weighted. What
    `deformation_loss` compares with."""
    with torch.no_grad():
        indices = torch.cdist(points.detach(), vertices).topk(neighbours, largest=False).indices
        # From differences: cdist multiplies matrices, and what is left of a distance of zero depends on the processor.
        distances = (points.detach()[:, None] - vertices[indices]).norm(dim=-1)
        weights = 1 / distances.clamp(min=1e-9)
        weights = weights / weights.sum(-1, keepdim=True)  # [n, k]
    picked = values[indices]  # [n, k, ...]
    return (picked * weights.reshape(*weights.shape, *([1] * (picked.dim() - 2)))).sum(1)
