"""Latents of pictures: a VAE each for pictures and for normals, or no weights at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from perse.synthesis.production.generation import PipelineSettings, load_model
from perse.synthesis.production.model_store import Weights

_SD_VAE = Weights(name="sd-vae-ft-mse")

SD_SCALE = 0.18215
"""Stable Diffusion's factor on its latents."""

PICTURE_STATISTICS = (0.484496, 1.229314)
NORMAL_STATISTICS = (-0.219865, 1.445059)
"""Mean and deviation of scaled latents of pictures and of normal maps (MagicMan): normals are brought to the pictures'
statistics, since the pretrained trunk expects those."""


_DEVIATION = 4.0
"""Scale of block latents: the mean of a block then deviates by about 2.5, the finest frequencies by 0.1. Coarse things
stay visible in more noise than fine ones, and their errors weigh more."""


class Latents(Protocol):
    """Codec between pictures and latents of both domains."""

    def encode(
        self, pictures: Float[Tensor, "n 3 h w"], normals: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, "n 2 c h2 w2"]:
        """Latents [n, 2, c, h', w'], float32, of pictures and normal maps [n, 3, h, w] in [0, 1]; no gradients."""
        ...

    def encode_pictures(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Latents [n, c, h', w'], float32, of pictures [n, 3, h, w] in [0, 1]; no gradients."""
        ...

    def decode_pictures(self, latents: Float[Tensor, "n c h2 w2"]) -> Float[Tensor, "n 3 h w"]:
        """Pictures [n, 3, h, w] in [0, 1] of latents [n, c, h', w']."""
        ...

    def decode_normals(self, latents: Float[Tensor, "n c h2 w2"]) -> Float[Tensor, "n 3 h w"]:
        """Normal maps [n, 3, h, w] in [0, 1] of latents [n, c, h', w']."""
        ...


@dataclass(frozen=True, kw_only=True)
class SdVaeConfig:
    """Configuration of Stable Diffusion's VAE, for normals with latents brought to the pictures' statistics."""

    weights: Weights = _SD_VAE
    """Folder of an `AutoencoderKL`."""
    precision: str = "bfloat16"
    """On a GPU; a CPU always computes in float32."""

    def build(self, device: torch.device) -> SdVae:
        """Codec with the VAE in memory.

        Raises:
            MissingWeightsError: the folder is not there or holds something else.
        """
        from diffusers import AutoencoderKL

        vae = load_model(AutoencoderKL, self.weights.locate(), PipelineSettings(precision=self.precision))
        return SdVae(vae.to(device).requires_grad_(False))


class SdVae:
    """Codec by Stable Diffusion's VAE; see `SdVaeConfig`."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    def encode(
        self, pictures: Float[Tensor, "n 3 h w"], normals: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, "n 2 c h2 w2"]:
        """See `Latents.encode`."""
        mean, deviation = NORMAL_STATISTICS
        standard = (self.encode_pictures(normals) - mean) / deviation
        return torch.stack(
            [self.encode_pictures(pictures), standard * PICTURE_STATISTICS[1] + PICTURE_STATISTICS[0]], 1
        )

    @torch.no_grad()
    def encode_pictures(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h2 w2"]:
        """See `Latents.encode_pictures`."""
        found = self._vae.encode((pictures * 2 - 1).to(self._vae.dtype)).latent_dist.mean
        return found.float() * SD_SCALE  # the UNets' weights are in float32, whatever the VAE's are in

    @torch.no_grad()
    def decode_pictures(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h2 w2"]:
        """See `Latents.decode_pictures`."""
        pictures = [self._vae.decode(one[None].to(self._vae.dtype) / SD_SCALE).sample for one in latents]
        return (torch.cat(pictures).float() / 2 + 0.5).clamp(0, 1)

    def decode_normals(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h2 w2"]:
        """See `Latents.decode_normals`."""
        standard = (latents - PICTURE_STATISTICS[0]) / PICTURE_STATISTICS[1]
        return self.decode_pictures(standard * NORMAL_STATISTICS[1] + NORMAL_STATISTICS[0])


@dataclass(frozen=True, kw_only=True)
class BlockLatentsConfig:
    """Configuration of latents without weights: the lowest frequencies of every block of pixels, as in JPEG. For small
    pictures and tests.

    A network can pass on no more noise than it has channels, and predicting v means passing noise on: latents must
    have fewer channels than the networks, so the higher frequencies are left out.
    """

    block_px: int = 8
    """Side of a block: latents are this many times smaller."""
    kept: int = 4
    """Frequencies that are kept in each direction; `block_px` keeps everything."""

    @property
    def channels(self) -> int:
        """Channels of a latent picture."""
        return 3 * self.kept**2

    def build(self, device: torch.device) -> BlockLatents:
        return BlockLatents(self, device)


class BlockLatents:
    """Codec by a cosine transform of every block, linear and with orthonormal rows; see `BlockLatentsConfig`."""

    def __init__(self, config: BlockLatentsConfig, device: torch.device) -> None:
        self._block_px = config.block_px
        basis = cosine_basis(config.block_px, config.kept)[:, None].to(device)  # [k², 1, n, n]
        self._into, self._back = basis * (_DEVIATION / config.block_px), basis * (config.block_px / _DEVIATION)

    def encode(
        self, pictures: Float[Tensor, "n 3 h w"], normals: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, "n 2 c h2 w2"]:
        """See `Latents.encode`."""
        return torch.stack([self.encode_pictures(pictures), self.encode_pictures(normals)], 1)

    def encode_pictures(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h2 w2"]:
        """See `Latents.encode_pictures`."""
        planes = (pictures * 2 - 1).flatten(0, 1)[:, None]
        found = F.conv2d(planes, self._into, stride=self._block_px)
        return found.reshape(len(pictures), -1, *found.shape[2:])

    def decode_pictures(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h2 w2"]:
        """See `Latents.decode_pictures`."""
        planes = latents.unflatten(1, (3, -1)).flatten(0, 1)
        pictures = F.conv_transpose2d(planes, self._back, stride=self._block_px)
        return (pictures.reshape(len(latents), 3, *pictures.shape[2:]) / 2 + 0.5).clamp(0, 1)

    def decode_normals(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h2 w2"]:
        """See `Latents.decode_normals`."""
        return self.decode_pictures(latents)


def cosine_basis(size: int, kept: int) -> Float[Tensor, "k2 size size"]:
    """The lowest two-dimensional cosines of a block [kept², size, size], orthonormal; the mean comes first."""
    place = (torch.arange(size) + 0.5) * math.pi / size
    scale = torch.full((kept, 1), math.sqrt(2 / size))
    scale[0] = math.sqrt(1 / size)
    rows = scale * torch.cos(torch.arange(kept)[:, None] * place)
    return torch.einsum("ui,vj->uvij", rows, rows).reshape(kept**2, size, size)
