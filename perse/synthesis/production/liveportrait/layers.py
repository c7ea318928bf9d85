"""Layers that several of LivePortrait's networks are made of. Names of parameters are those of the published files."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class ConvNorm(nn.Module):
    """Convolution, batch normalisation, leaky ReLU.

    Args:
        inputs, outputs: channels.
        dimensions: 2 for maps [b, c, h, w], 3 for volumes [b, c, d, h, w].
        slope: of the activation below zero.
    """

    def __init__(self, inputs: int, outputs: int, *, dimensions: int, slope: float = 0.0) -> None:
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.conv = conv(inputs, outputs, 3, padding=1)
        self.norm = norm(outputs)
        self.slope = slope

    def forward(self, x: Float[Tensor, "b c *h"]) -> Float[Tensor, "b c2 *h2"]:
        return functional.leaky_relu(self.norm(self.conv(x)), self.slope)


class HalvingBlock(ConvNorm):
    """`ConvNorm`, then height and width are halved; a volume keeps its depth."""

    def forward(self, x: Float[Tensor, "b c *h"]) -> Float[Tensor, "b c2 *h2"]:
        x = super().forward(x)
        return functional.avg_pool2d(x, 2) if x.ndim == 4 else functional.avg_pool3d(x, (1, 2, 2))


class DoublingBlock(ConvNorm):
    """Height and width of a volume are doubled, then `ConvNorm`."""

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c2 d h2 w2"]:
        return super().forward(functional.interpolate(x, scale_factor=(1.0, 2.0, 2.0)))


class ResidualVolume(nn.Module):
    """Block of two convolutions of a volume [b, c, d, h, w], each after normalisation and ReLU, added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        hidden = self.conv1(self.norm1(x).relu())
        return x + self.conv2(self.norm2(hidden).relu())


class SpectralConv2d(nn.Module):
    """A convolution whose weight is divided by its largest singular value, σ = uᵀ W v (spectral normalisation).

    u and v come with the weights; nothing is iterated here.
    """

    weight_u: Float[Tensor, " outputs"]
    weight_v: Float[Tensor, " inputs*kernel*kernel"]
    bias: Float[nn.Parameter, " outputs"] | None

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, kernel)
        self.weight_orig = plain.weight
        self.bias = nn.Parameter(plain.bias.detach()) if plain.bias is not None and bias else None
        self.register_buffer("weight_u", functional.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("weight_v", functional.normalize(torch.randn(inputs * kernel**2), dim=0))
        self.padding = kernel // 2

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        # Sums, not matrix products, which autocast would round: an error of σ scales the whole layer.
        sigma = (self.weight_u * (self.weight_orig.flatten(1) * self.weight_v).sum(1)).sum()
        return functional.conv2d(x, self.weight_orig / sigma, self.bias, padding=self.padding)
