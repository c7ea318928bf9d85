"""Generator G: a picture from warped features, by blocks with spatially adaptive normalisation (SPADE)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from perse.synthesis.production.liveportrait.layers import SpectralConv2d
from perse.synthesis.production.liveportrait.shape import LivePortraitShape

_SLOPE = 0.2


class SpadeGenerator(nn.Module):
    """Network G: features [b, 256, 64, 64] to pictures [b, 3, 512, 512] RGB in 0…1."""

    def __init__(self, shape: LivePortraitShape) -> None:
        super().__init__()
        style, hidden = shape.map_width, shape.style_width
        wide = 2 * style
        self.fc = nn.Conv2d(style, wide, 3, padding=1)
        self._middle = shape.middle_blocks
        for i in range(self._middle):
            self.add_module(f"G_middle_{i}", SpadeBlock(wide, wide, style, hidden))
        self.up_0 = SpadeBlock(wide, style, style, hidden)
        self.up_1 = SpadeBlock(style, shape.width, style, hidden)
        self.conv_img = nn.Sequential(nn.Conv2d(shape.width, 3 * 2 * 2, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        x = self.fc(features)
        for i in range(self._middle):
            x = self.get_submodule(f"G_middle_{i}")(x, features)
        x = self.up_0(functional.interpolate(x, scale_factor=2.0), features)
        x = self.up_1(functional.interpolate(x, scale_factor=2.0), features)
        return self.conv_img(functional.leaky_relu(x, _SLOPE)).sigmoid()


class SpadeBlock(nn.Module):
    """Block of two normalised convolutions added to the input, or to a 1 × 1 convolution of it where the width
    changes."""

    def __init__(self, inputs: int, outputs: int, style: int, hidden: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = SpectralConv2d(inputs, middle, 3)
        self.conv_1 = SpectralConv2d(middle, outputs, 3)
        self.norm_0 = SpadeNorm(inputs, style, hidden)
        self.norm_1 = SpadeNorm(middle, style, hidden)
        self._reshapes = inputs != outputs
        if self._reshapes:
            self.conv_s = SpectralConv2d(inputs, outputs, 1, bias=False)
            self.norm_s = SpadeNorm(inputs, style, hidden)

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "b s h2 w2"]) -> Float[Tensor, "b c2 h w"]:
        hidden = self.conv_0(functional.leaky_relu(self.norm_0(x, style), _SLOPE))
        hidden = self.conv_1(functional.leaky_relu(self.norm_1(hidden, style), _SLOPE))
        return hidden + (self.conv_s(self.norm_s(x, style)) if self._reshapes else x)


class SpadeNorm(nn.Module):
    """Instance normalisation whose scale and shift come from the features, pixel by pixel."""

    def __init__(self, channels: int, style: int, hidden: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(style, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"], style: Float[Tensor, "b s h2 w2"]) -> Float[Tensor, "b c h w"]:
        hidden = self.mlp_shared(functional.interpolate(style, x.shape[2:]))
        return functional.instance_norm(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
