"""Motion extractor M: head pose, expression and canonical keypoints of a picture, by a ConvNeXt V2."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from perse.synthesis.production.liveportrait.shape import LivePortraitShape

_EPS = 1e-6


class MotionOutputs(NamedTuple):
    """Outputs of M; `keypoints.HeadKeypoints` is what they mean.

    Attributes:
        pitch, yaw, roll: [b, 66], logits of angles.
        translation: [b, 3].
        expression: [b, 3 k], displacements of the keypoints.
        scale: [b, 1].
        canonical: [b, 3 k], keypoints of the face at rest.
    """

    pitch: Float[Tensor, "b 66"]
    yaw: Float[Tensor, "b 66"]
    roll: Float[Tensor, "b 66"]
    translation: Float[Tensor, "b 3"]
    expression: Float[Tensor, "b 3*k"]
    scale: Float[Tensor, "b 1"]
    canonical: Float[Tensor, "b 3*k"]


class MotionExtractor(nn.Module):
    """Network M: pictures [b, 3, 256, 256] RGB in 0…1 to `MotionOutputs`."""

    def __init__(self, shape: LivePortraitShape) -> None:
        super().__init__()
        self.detector = _ConvNext(shape)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> MotionOutputs:
        return self.detector(pictures)


class _ConvNext(nn.Module):
    """ConvNeXt V2 with linear heads in place of a classifier."""

    def __init__(self, shape: LivePortraitShape) -> None:
        super().__init__()
        widths = shape.motion_widths
        stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, stride=4), _ChannelNorm(widths[0], eps=_EPS))
        halvings = (nn.Sequential(_ChannelNorm(a, eps=_EPS), nn.Conv2d(a, b, 2, stride=2)) for a, b in pairwise(widths))
        self.downsample_layers = nn.ModuleList([stem, *halvings])
        self.stages = nn.ModuleList(
            nn.Sequential(*(_ConvNextBlock(width) for _ in range(depth)))
            for depth, width in zip(shape.motion_depths, widths, strict=True)
        )
        last = widths[-1]
        self.norm = nn.LayerNorm(last, eps=_EPS)
        self.fc_kp = nn.Linear(last, 3 * shape.keypoints)
        self.fc_scale = nn.Linear(last, 1)
        self.fc_pitch = nn.Linear(last, shape.angle_bins)
        self.fc_yaw = nn.Linear(last, shape.angle_bins)
        self.fc_roll = nn.Linear(last, shape.angle_bins)
        self.fc_t = nn.Linear(last, 3)
        self.fc_exp = nn.Linear(last, 3 * shape.keypoints)

    def forward(self, x: Tensor) -> MotionOutputs:
        for smaller, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(smaller(x))
        x = self.norm(x.mean((-2, -1)))
        return MotionOutputs(
            pitch=self.fc_pitch(x),
            yaw=self.fc_yaw(x),
            roll=self.fc_roll(x),
            translation=self.fc_t(x),
            expression=self.fc_exp(x),
            scale=self.fc_scale(x),
            canonical=self.fc_kp(x),
        )


class _ConvNextBlock(nn.Module):
    """Depthwise 7 × 7 convolution, then a two-layer perceptron on every pixel, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.grn = _ResponseNorm(4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.dwconv(x).movedim(1, -1))  # [b, h, w, c]
        hidden = self.grn(functional.gelu(self.pwconv1(hidden)))
        return x + self.pwconv2(hidden).movedim(-1, 1)


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each pixel's channels, [b, c, h, w]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class _ResponseNorm(nn.Module):
    """Global response normalisation of [b, h, w, c]: channels compete by their norm over the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        relative = norms / (norms.mean(-1, keepdim=True) + _EPS)
        return x + self.gamma * (x * relative) + self.beta
