"""Guidance encoders: FLAME depth, FLAME normals and keypoints of every frame, one small encoder each.

Their sum is added after the denoiser's first layer. Sizes are Champ's: 3 → 16 → 32 → 96 → 256 with a halving at each
step after the first, self-attention at the coarsest, and a last layer that starts at zero, so that a pretrained UNet
begins undisturbed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from perse.synthesis.production.guidance.maps import KINDS


@dataclass(frozen=True, kw_only=True)
class GuidanceEncoderSizes:
    """Sizes of one encoder; the defaults reduce pictures 8 times, as Stable Diffusion's latents are."""

    channels: tuple[int, ...] = (16, 32, 96, 256)
    """Of the levels; the picture is halved between two of them."""
    heads: int = 8
    """Of the self-attention at the coarsest level."""

    @property
    def factor(self) -> int:
        """Factor by which the result is smaller."""
        return 2 ** (len(self.channels) - 1)


class GuidanceEncoder(nn.Module):
    """Encoder of one kind of map."""

    def __init__(self, sizes: GuidanceEncoderSizes, out_channels: int) -> None:
        super().__init__()
        first, last = sizes.channels[0], sizes.channels[-1]
        self.conv_in = nn.Conv2d(3, first, 3, padding=1)
        steps: list[nn.Module] = []
        for fine, coarse in zip(sizes.channels[:-1], sizes.channels[1:], strict=True):
            steps += [nn.Conv2d(fine, fine, 3, padding=1), nn.SiLU()]
            steps += [nn.Conv2d(fine, coarse, 3, padding=1, stride=2), nn.SiLU()]
        self.steps = nn.Sequential(*steps)
        self.norm = nn.LayerNorm(last)
        self.attention = nn.MultiheadAttention(last, sizes.heads, batch_first=True)
        self.conv_out = nn.Conv2d(last, out_channels, 3, padding=1)
        for layer in (self.conv_in, *steps):
            if isinstance(layer, nn.Conv2d):
                # torch's own initialisation loses two thirds of the signal in every layer: after eight, nothing of the
                # maps would arrive at the last one, which then could not learn from them.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n out h2 w2"]:
        """Features [n, out, h / factor, w / factor] of maps [n, 3, h, w] in [0, 1]."""
        features = self.steps(F.silu(self.conv_in(maps)))
        tokens = self.norm(features.flatten(2).transpose(1, 2))
        attended = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        features = features + attended.transpose(1, 2).unflatten(2, features.shape[2:])
        return self.conv_out(features)


class GuidanceEncoders(nn.Module):
    """Encoders of all kinds, summed."""

    def __init__(self, sizes: GuidanceEncoderSizes, out_channels: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({kind: GuidanceEncoder(sizes, out_channels) for kind in KINDS})

    def forward(self, maps: Float[Tensor, "n kinds 3 h w"]) -> Float[Tensor, "n out h2 w2"]:
        """Features [n, out, h / factor, w / factor] of maps [n, kinds, 3, h, w] in [0, 1], in the order of `KINDS`."""
        found = [self.encoders[kind](maps[:, number]) for number, kind in enumerate(KINDS)]
        return torch.stack(found).sum(0)
