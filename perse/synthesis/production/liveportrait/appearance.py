"""Appearance extractor F: the source picture as a volume of features."""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from perse.synthesis.production.liveportrait.layers import ConvNorm, HalvingBlock, ResidualVolume
from perse.synthesis.production.liveportrait.shape import LivePortraitShape


class AppearanceExtractor(nn.Module):
    """Network F: pictures [b, 3, 256, 256] RGB in 0…1 to features [b, 32, 16, 64, 64]."""

    def __init__(self, shape: LivePortraitShape) -> None:
        super().__init__()
        self.first = ConvNorm(3, shape.width, dimensions=2)
        self.down_blocks = nn.ModuleList(
            HalvingBlock(shape.stage_width(i), shape.stage_width(i + 1), dimensions=2) for i in range(shape.halvings)
        )
        self.second = nn.Conv2d(shape.map_width, shape.max_width, 1)
        blocks = ((f"3dr{i}", ResidualVolume(shape.volume_channels)) for i in range(shape.volume_blocks))
        self.resblocks_3d = nn.Sequential(OrderedDict(blocks))
        self._volume = (shape.volume_channels, shape.volume_depth)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c d h2 w2"]:
        x = self.first(pictures)
        for block in self.down_blocks:
            x = block(x)
        return self.resblocks_3d(self.second(x).unflatten(1, self._volume))
