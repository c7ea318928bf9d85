"""Warping network W: from source and driving keypoints to a flow of the feature volume, and what it warps."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from perse.synthesis.production.liveportrait.layers import ConvNorm, DoublingBlock, HalvingBlock
from perse.synthesis.production.liveportrait.shape import LivePortraitShape

_KEYPOINT_VARIANCE = 0.01
"""Of the Gaussian that marks a keypoint, in units of the volume, which reaches from −1 to 1."""


class Warp(NamedTuple):
    """A warped head.

    Attributes:
        features: [b, 256, 64, 64], what G draws from.
        flow: [b, 16, 64, 64, 3], where in the source volume each cell comes from; x, y, z in −1…1.
        visible: [b, 1, 64, 64] in 0…1, how much of a cell the source shows.
    """

    features: Float[Tensor, "b c h w"]
    flow: Float[Tensor, "b d h w 3"]
    visible: Float[Tensor, "b 1 h w"]


class WarpingNetwork(nn.Module):
    """Network W: source features and keypoints to a `Warp`."""

    def __init__(self, shape: LivePortraitShape) -> None:
        super().__init__()
        self.dense_motion_network = _DenseMotion(shape)
        self.third = ConvNorm(shape.max_width, shape.map_width, dimensions=2, slope=0.01)
        self.fourth = nn.Conv2d(shape.map_width, shape.map_width, 1)

    def forward(
        self, features: Float[Tensor, "b c d h w"], source: Float[Tensor, "b k 3"], driving: Float[Tensor, "b k 3"]
    ) -> Warp:
        """Warped features.

        Args:
            features: [b, 32, 16, 64, 64], of F.
            source, driving: [b, k, 3], keypoints before and after the motion.
        """
        flow, visible = self.dense_motion_network(features, source, driving)
        warped = functional.grid_sample(features, flow, align_corners=False).flatten(1, 2)
        return Warp(self.fourth(self.third(warped)) * visible, flow, visible)


class _DenseMotion(nn.Module):
    """Every cell of the volume follows a mixture of the keypoints' motions and of standing still."""

    def __init__(self, shape: LivePortraitShape) -> None:
        super().__init__()
        self.hourglass = _Hourglass(shape)
        candidates, width = shape.keypoints + 1, self.hourglass.outputs
        self.mask = nn.Conv3d(width, candidates, 7, padding=3)
        self.compress = nn.Conv3d(shape.volume_channels, shape.flow_features, 1)
        self.norm = nn.BatchNorm3d(shape.flow_features)
        self.occlusion = nn.Conv2d(width * shape.volume_depth, 1, 7, padding=3)

    def forward(
        self, features: Float[Tensor, "b c d h w"], source: Float[Tensor, "b k 3"], driving: Float[Tensor, "b k 3"]
    ) -> tuple[Tensor, Tensor]:
        """Flow [b, d, h, w, 3] and visibility [b, 1, h, w]."""
        small = self.norm(self.compress(features)).relu()  # [b, c, d, h, w]
        grid = _cells(small)
        flows = _candidate_flows(grid, source, driving)  # [b, 1 + k, d, h, w, 3]
        marks = _gaussians(grid, driving) - _gaussians(grid, source)
        marks = functional.pad(marks, (0, 0, 0, 0, 0, 0, 1, 0))  # none for standing still: [b, 1 + k, d, h, w]
        evidence = torch.cat([marks[:, :, None], _moved(small, flows)], 2).flatten(1, 2)
        hidden = self.hourglass(evidence)
        weights = self.mask(hidden).float().softmax(1)  # [b, 1 + k, d, h, w]; rounded ones would not sum to one
        flow = (flows * weights[..., None]).sum(1)
        return flow, self.occlusion(hidden.flatten(1, 2)).sigmoid()


def _cells(volume: Float[Tensor, "... d h w"]) -> Float[Tensor, "d h w 3"]:
    """Positions of a volume's cells, [d, h, w, 3]: x to the right, y down, z inwards, from −1 to 1.

    In the precision of the coordinates, never in half: a flow rounded to 8 bits is an eighth of a cell off.
    """
    depth, height, width = (torch.linspace(-1, 1, n, device=volume.device) for n in volume.shape[2:])
    z, y, x = torch.meshgrid(depth, height, width, indexing="ij")
    return torch.stack([x, y, z], -1)


def _candidate_flows(
    grid: Float[Tensor, "d h w 3"], source: Float[Tensor, "b k 3"], driving: Float[Tensor, "b k 3"]
) -> Float[Tensor, "b flows d h w 3"]:
    """Where a cell comes from if it stands still, and if it moves with each keypoint, [b, 1 + k, d, h, w, 3]."""
    back = (source - driving)[:, :, None, None, None]  # [b, k, 1, 1, 1, 3]
    still = torch.zeros_like(back[:, :1])
    return grid + torch.cat([still, back], 1)


def _gaussians(grid: Float[Tensor, "d h w 3"], keypoints: Float[Tensor, "b k 3"]) -> Float[Tensor, "b k d h w"]:
    """How near each cell is to each keypoint, [b, k, d, h, w]."""
    away = grid - keypoints[:, :, None, None, None]
    return torch.exp(-0.5 * away.square().sum(-1) / _KEYPOINT_VARIANCE)


def _moved(volume: Float[Tensor, "b c d h w"], flows: Float[Tensor, "b n d h w 3"]) -> Float[Tensor, "b n c d h w"]:
    """The volume [b, c, d, h, w] under each candidate flow, [b, 1 + k, c, d, h, w]."""
    copies = volume[:, None].expand(-1, flows.shape[1], -1, -1, -1, -1).flatten(0, 1)
    moved = functional.grid_sample(copies, flows.flatten(0, 1), align_corners=False)
    return moved.unflatten(0, flows.shape[:2])


class _Hourglass(nn.Module):
    """Down to a few cells and up again, with what was there before at every size."""

    def __init__(self, shape: LivePortraitShape) -> None:
        super().__init__()
        inputs = (shape.keypoints + 1) * (shape.flow_features + 1)
        self.encoder = _Encoder(shape, inputs)
        self.decoder = _Decoder(shape, inputs)
        self.outputs = self.decoder.outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class _Encoder(nn.Module):
    def __init__(self, shape: LivePortraitShape, inputs: int) -> None:
        super().__init__()
        widths = [inputs, *(shape.flow_stage_width(i + 1) for i in range(shape.flow_halvings))]
        self.down_blocks = nn.ModuleList(HalvingBlock(a, b, dimensions=3) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The input and what each block makes of it."""
        sizes = [x]
        for block in self.down_blocks:
            sizes.append(block(sizes[-1]))
        return sizes


class _Decoder(nn.Module):
    def __init__(self, shape: LivePortraitShape, inputs: int) -> None:
        super().__init__()
        widths = [shape.flow_stage_width(i) for i in range(shape.flow_halvings, -1, -1)]
        doubled = [1, *[2] * (shape.flow_halvings - 1)]  # by what was there before; there was nothing at the bottom
        self.up_blocks = nn.ModuleList(
            DoublingBlock(n * a, b, dimensions=3) for n, (a, b) in zip(doubled, pairwise(widths), strict=True)
        )
        self.outputs = shape.flow_width + inputs
        self.conv = nn.Conv3d(self.outputs, self.outputs, 3, padding=1)
        self.norm = nn.BatchNorm3d(self.outputs)

    def forward(self, sizes: list[Tensor]) -> Tensor:
        *before, x = sizes
        for block, skipped in zip(self.up_blocks, reversed(before), strict=True):
            x = torch.cat([block(x), skipped], 1)
        return self.norm(self.conv(x)).relu()
