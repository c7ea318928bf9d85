"""Stitching and retargeting heads S: small perceptrons that correct keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from perse.synthesis.production.liveportrait.shape import LivePortraitShape

STITCHING_WIDTHS = (128, 128, 64)
LIP_WIDTHS = (128, 128, 64)
EYE_WIDTHS = (256, 256, 128, 128, 64)
"""Hidden layers."""


class KeypointHead(nn.Module):
    """Perceptron from keypoints [b, k, 3] and whatever is said about the change to its correction [b, outputs]."""

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        self.mlp = nn.Sequential(*layers, nn.Linear(inputs, outputs))

    def forward(self, keypoints: Float[Tensor, "b ..."], change: Float[Tensor, "b ..."]) -> Float[Tensor, "b outputs"]:
        return self.mlp(torch.cat([keypoints.flatten(1), change.flatten(1)], 1))


def stitching_head(shape: LivePortraitShape) -> KeypointHead:
    """Head from source and driving keypoints to a displacement of each driving keypoint, and of all of them in x and
    y."""
    size = 3 * shape.keypoints
    return KeypointHead(2 * size, STITCHING_WIDTHS, size + 2)


def lip_head(shape: LivePortraitShape) -> KeypointHead:
    """Head from source keypoints and how open its lips are, and are to be, to displacements."""
    size = 3 * shape.keypoints
    return KeypointHead(size + 2, LIP_WIDTHS, size)


def eye_head(shape: LivePortraitShape) -> KeypointHead:
    """Head from source keypoints and how open its two eyes are, and are to be, to displacements."""
    size = 3 * shape.keypoints
    return KeypointHead(size + 3, EYE_WIDTHS, size)
