"""Offsets of the surface that depend on the pose, from a triplane and an MLP.

::

    place ─► three planes (32 × 128 × 128) ─► 3 · 32 features ┐
    pose  ─► rotations of 21 joints, 6 numbers each ──────────┴► MLP 222 → 128 → 128 → 128 → 3 ─► metres

It is evaluated at the body model's vertices and carried to the Gaussians between them: cloth is smoother than that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

TURNING_JOINTS = 21
"""SMPL-X's joints of the body without the root: neither face nor fingers."""
POSE_NUMBERS = TURNING_JOINTS * 6
GROUPS = 4
UNIT_M = 0.01
"""What the MLP counts in: with metres, the first step of Adam would throw cloth across the room."""
LARGEST_M = 0.15
"""No cloth moves further from where the bones put it."""


@dataclass(frozen=True, kw_only=True)
class OffsetConfig:
    """Sizes of triplane and MLP."""

    features: int = 32
    """Of a plane (docs/body.md#the-papers-numbers)."""
    resolution: int = 128
    """Cells along a side of a plane."""
    hidden: int = 128
    """Of the MLP."""


class PoseOffsets(nn.Module):
    """Offsets of surface points in a pose."""

    low: Float[Tensor, "3"]
    high: Float[Tensor, "3"]

    def __init__(self, config: OffsetConfig, low: Float[Tensor, "3"], high: Float[Tensor, "3"]) -> None:
        """
        Args:
            low, high: [3], the box that the planes span, metres.
        """
        super().__init__()
        self.config = config
        self.register_buffer("low", low)
        self.register_buffer("high", high)
        self.planes = nn.Parameter(0.01 * torch.randn(3, config.features, config.resolution, config.resolution))
        self.first = nn.Linear(3 * config.features, config.hidden)
        self.pose = nn.Linear(POSE_NUMBERS, config.hidden, bias=False)
        self.middle = nn.ModuleList(nn.Linear(config.hidden, config.hidden) for _ in range(2))
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, config.hidden) for _ in range(3))
        self.last = nn.Linear(config.hidden, 3)
        nn.init.zeros_(self.last.weight)  # the first avatar moves as its bones do
        nn.init.zeros_(self.last.bias)

    def features(self, places: Float[Tensor, "v 3"]) -> Float[Tensor, "v c"]:
        """Features of the planes at places in rest pose; the same for every pose."""
        unit = 2 * (places - self.low) / (self.high - self.low) - 1
        pairs = torch.stack([unit[:, [0, 1]], unit[:, [0, 2]], unit[:, [1, 2]]])[:, :, None]  # [3, v, 1, 2]
        sampled = nn.functional.grid_sample(self.planes, pairs, align_corners=True, padding_mode="border")
        return sampled[..., 0].permute(2, 0, 1).flatten(1)

    def forward(self, places: Float[Tensor, "v 3"], changes: Float[Tensor, "f 21 3 3"]) -> Float[Tensor, "f v 3"]:
        """Offsets in rest pose, metres.

        Args:
            changes: R(θ) − I of the turning joints, each relative to its parent.
        """
        numbers = changes[..., :2].flatten(1)
        hidden = self.first(self.features(places))[None] + self.pose(numbers)[:, None]
        for norm, layer in zip(self.norms, (*self.middle, self.last), strict=True):
            flat = nn.functional.relu(norm(hidden.flatten(0, 1))).reshape(hidden.shape)
            hidden = layer(flat)
        return LARGEST_M * torch.tanh(UNIT_M / LARGEST_M * hidden)
