"""Batches of footage for a training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from perse.shapes import Pictures
from perse.synthesis.production.portrait_champ.footage import Footage
from perse.synthesis.production.portrait_champ.image_tokens import ImageTokens
from perse.synthesis.production.portrait_champ.latents import Latents
from perse.synthesis.production.portrait_champ.training import ChampBatch


@dataclass(frozen=True)
class SamplePictures:
    """Samples of one size and length, decoded.

    Attributes:
        references: [b, h, w, 3].
        frames, normals: [b, f, h, w, 3].
        maps: [b, f, kinds, 3, h, w].
    """

    references: UInt8[np.ndarray, "b h w 3"]
    frames: UInt8[np.ndarray, "b f h w 3"]
    normals: UInt8[np.ndarray, "b f h w 3"]
    maps: UInt8[np.ndarray, "b f kinds 3 h w"]

    @classmethod
    def of(cls, samples: Sequence[Footage]) -> SamplePictures:
        """Pictures of samples whose first frame is the portrait and whose others are to be denoised."""
        return cls(
            np.stack([sample.frames[0] for sample in samples]),
            np.stack([sample.frames[1:] for sample in samples]),
            np.stack([sample.guidance.normals[1:] for sample in samples]),
            np.stack([sample.guidance.stacked()[1:] for sample in samples]),
        )

    def encoded(self, latents: Latents, tokens: ImageTokens, device: torch.device) -> ChampBatch:
        """The batch, on a device."""
        b, f = self.frames.shape[:2]
        both = latents.encode(
            as_tensor(self.frames.reshape(b * f, *self.frames.shape[2:]), device),
            as_tensor(self.normals.reshape(b * f, *self.normals.shape[2:]), device),
        )
        return ChampBatch(
            reference=latents.encode_pictures(as_tensor(self.references, device)),
            tokens=tokens.encode(self.references),
            latents=both.unflatten(0, (b, f)).movedim(2, 1),
            maps=torch.from_numpy(self.maps).to(device).float() / 255,
        )


def as_tensor(pictures: Pictures, device: torch.device) -> Float[Tensor, "n 3 h w"]:
    """Tensor [n, 3, h, w] in [0, 1] of pictures [n, h, w, 3] uint8."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).to(device).permute(0, 3, 1, 2).float() / 255
