"""LivePortrait's networks by hand: they see where a picture is dark and move it there, exactly.

What they do is so simple that a clip can be predicted to the pixel; crop, motion, batches, paste-back and parsing
around them are the real ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from perse.synthesis.production.liveportrait.motion_extractor import MotionOutputs
from perse.synthesis.production.liveportrait.networks import LivePortraitNetworks
from perse.synthesis.production.liveportrait.warping import Warp

KEYPOINTS = 21


class Appearance(nn.Module):
    """The picture itself, as a volume of depth 1."""

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures[:, :, None]


class Motion(nn.Module):
    """Translation is the middle of what is dark; nothing turns, nothing is deformed."""

    def forward(self, pictures: Tensor) -> MotionOutputs:
        dark = 1 - pictures.mean(1) + 1e-6
        axis = torch.linspace(-1, 1, pictures.shape[-1])
        total = dark.sum((1, 2))
        x, y = (dark.sum(1) * axis).sum(1) / total, (dark.sum(2) * axis).sum(1) / total
        count = len(pictures)
        straight = torch.zeros(count, 66)
        straight[:, 32:34] = 40.0  # the bins on both sides of 0°
        return MotionOutputs(
            pitch=straight,
            yaw=straight,
            roll=straight,
            translation=torch.stack([x, y, 0 * x], 1),
            expression=torch.zeros(count, 3 * KEYPOINTS),
            scale=torch.ones(count, 1),
            canonical=torch.linspace(-0.3, 0.3, 3 * KEYPOINTS).expand(count, -1),
        )


class Warping(nn.Module):
    """The whole picture moves as the keypoints do on average."""

    def forward(self, features: Tensor, source: Tensor, driving: Tensor) -> Warp:
        pictures = features[:, :, 0]
        back = (source - driving).mean(1)[:, :2]
        matrix = torch.eye(2, 3).repeat(len(pictures), 1, 1)
        matrix[:, :, 2] = back
        grid = functional.affine_grid(matrix, list(pictures.shape), align_corners=False)
        moved = functional.grid_sample(1 - pictures, grid, align_corners=False)
        return Warp(1 - moved, grid[:, None], torch.ones_like(pictures[:, :1]))


class Generator(nn.Module):
    """Twice as large."""

    def forward(self, features: Tensor) -> Tensor:
        return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


class NoHead(nn.Module):
    """No correction of anything."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, keypoints: Tensor, change: Tensor) -> Tensor:
        return keypoints.new_zeros(len(keypoints), self.outputs)


class BrokenGenerator(nn.Module):
    """Draws one frame in four with NaN, or black."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, features: Tensor) -> Tensor:
        drawn = Generator()(features)
        drawn[3::4] = self.value
        return drawn


def stand_in_networks(**other: nn.Module) -> LivePortraitNetworks:
    """See the module; `other` replaces some of them."""
    parts: dict[str, nn.Module] = {
        "appearance": Appearance(),
        "motion": Motion(),
        "warping": Warping(),
        "generator": Generator(),
        "stitching": NoHead(3 * KEYPOINTS + 2),
        "lips": NoHead(3 * KEYPOINTS),
        "eyes": NoHead(3 * KEYPOINTS),
    }
    return LivePortraitNetworks(**{**parts, **other})  # type: ignore[arg-type]
