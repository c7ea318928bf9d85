"""portrait-Champ's networks by hand: they draw the picture that they were shown, whatever the motion.

Latents, sampling, windows, guidance and parsing around them are the real ones, so that a clip can be predicted.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from perse.head import HeadModel
from perse.synthesis.production.portrait_champ import (
    BlockLatentsConfig,
    ChampNetworks,
    DescriptorTokensConfig,
    NoiseSchedule,
    PortraitChamp,
    PortraitChampConfig,
    SamplingConfig,
)
from perse.synthesis.production.segmenter import LandmarkSegmenterConfig


class StandInChamp(ChampNetworks):
    """Of the last step, which is nothing but noise, v is the picture's negative."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.denoiser = _Denoiser()  # type: ignore[assignment]

    def look(self, latents: Tensor, tokens: Tensor) -> Mapping[str, Tensor]:
        return {"picture": latents}

    def guide(self, maps: Tensor) -> Tensor:
        return maps.mean(2)[..., ::8, ::8]  # as large as the latents


class _Denoiser(nn.Module):
    def forward(
        self, noisy: Tensor, time: Tensor, tokens: Tensor, guidance: Tensor, reference: Mapping[str, Tensor]
    ) -> Tensor:
        assert guidance.shape[:2] == (1, noisy.shape[2]), "every frame has its maps"
        return -reference["picture"][:, None, None].expand_as(noisy)


def stand_in_champ(head: HeadModel) -> PortraitChamp:
    """An animator that repeats the edit; latents are an exact transform of the picture."""
    config = PortraitChampConfig(
        latents=BlockLatentsConfig(block_px=8, kept=8),
        tokens=DescriptorTokensConfig(),
        sampling=SamplingConfig(schedule=NoiseSchedule(), steps=1, guidance=1.0, window=2, overlap=1),
        size_px=256,
        segmenter=LandmarkSegmenterConfig(),
    )
    return PortraitChamp(config, StandInChamp(), head)
