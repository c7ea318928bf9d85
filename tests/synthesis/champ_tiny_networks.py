"""Networks of portrait-Champ that are small enough for tests."""

from __future__ import annotations

from dataclasses import replace

import torch

from perse.synthesis.production.portrait_champ import (
    ChampBatch,
    ChampNetworks,
    ChampSizes,
    GuidanceEncoderSizes,
    MotionSizes,
    UNetSizes,
)

SIZES = ChampSizes(
    unet=UNetSizes(
        latent_channels=4, channels=(8, 16), attended=(True, True), layers=1, heads=2, norm_groups=4, token_width=8
    ),
    motion=MotionSizes(heads=2),
    guidance=GuidanceEncoderSizes(channels=(4, 8), heads=2),
)
OWN_ENDS = replace(SIZES, normals="own ends")


def networks(sizes: ChampSizes = SIZES, *, moves: bool = False, speak: bool = True) -> ChampNetworks:
    """Random ones; with `speak`, layers that start at zero get something to say."""
    torch.manual_seed(0)
    made = sizes.build(moves=moves).eval()
    if speak:
        for parameter in made.parameters():
            if not parameter.any() and parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return made


def batch(b: int = 2, frames: int = 1) -> ChampBatch:
    """Random samples of 8 × 8 latents and 16 × 16 maps."""
    torch.manual_seed(1)
    return ChampBatch(
        torch.randn(b, 4, 8, 8), torch.randn(b, 1, 8), torch.randn(b, 2, frames, 4, 8, 8),
        torch.rand(b, frames, 3, 3, 16, 16),
    )  # fmt: skip
