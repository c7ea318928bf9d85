"""FLUX with the inpainting ControlNet of alimama-creative, which sees the mask beside the picture.

Its `controlnet_x_embedder` takes 68 channels: 64 of a packed 2 × 2 patch of latents of the picture with the hole
blackened, and 4 of the mask's same patch, 1 where pixels are kept. The stock `FluxControlNetModel` (diffusers 0.42)
has 64 and the stock pipeline passes it only what it encoded, so the mask waits here for each call::

    with net.seeing(mask_tokens):
        pipeline(control_image=blackened, ...)

torch and diffusers are imported with this module: it is imported by the backend alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import FluxControlNetModel
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float
from torch import Tensor, nn

MASK_CHANNELS = 4
"""A patch of 2 × 2 latents has four values of the mask."""


class MaskedFluxControlNet(FluxControlNetModel):
    """A FLUX ControlNet with extra condition channels for the mask. Loads alimama's checkpoints as they are."""

    @register_to_config
    def __init__(
        self,
        patch_size: int = 1,
        in_channels: int = 64,
        num_layers: int = 6,
        num_single_layers: int = 0,
        attention_head_dim: int = 128,
        num_attention_heads: int = 24,
        joint_attention_dim: int = 4096,
        pooled_projection_dim: int = 768,
        guidance_embeds: bool = True,
        axes_dims_rope: Sequence[int] = (16, 56, 56),
        num_mode: int | None = None,
        conditioning_embedding_channels: int | None = None,
        extra_condition_channels: int = MASK_CHANNELS,
    ) -> None:
        super().__init__(
            patch_size=patch_size,
            in_channels=in_channels,
            num_layers=num_layers,
            num_single_layers=num_single_layers,
            attention_head_dim=attention_head_dim,
            num_attention_heads=num_attention_heads,
            joint_attention_dim=joint_attention_dim,
            pooled_projection_dim=pooled_projection_dim,
            guidance_embeds=guidance_embeds,
            axes_dims_rope=list(axes_dims_rope),
            num_mode=num_mode,
            conditioning_embedding_channels=conditioning_embedding_channels,
        )
        width = num_attention_heads * attention_head_dim
        self.controlnet_x_embedder = nn.Linear(in_channels + extra_condition_channels, width)
        nn.init.zeros_(self.controlnet_x_embedder.weight)
        nn.init.zeros_(self.controlnet_x_embedder.bias)
        self._mask_tokens: Tensor | None = None

    @contextmanager
    def seeing(self, mask_tokens: Float[Tensor, "b n 4"]) -> Iterator[None]:
        """Context in which mask tokens [b, n, 4] are appended to every condition."""
        self._mask_tokens = mask_tokens
        try:
            yield
        finally:
            self._mask_tokens = None

    def forward(
        self, hidden_states: Float[Tensor, "b n c"], controlnet_cond: Float[Tensor, "b m d"], *args: Any, **kwargs: Any
    ) -> Any:
        """See the parent; a condition of 64 channels is completed with the mask of `seeing`."""
        if controlnet_cond.shape[-1] == self.config.in_channels:  # type: ignore[attr-defined]
            if self._mask_tokens is None:
                raise ValueError("the inpainting ControlNet needs a mask: call it inside `with net.seeing(tokens)`")
            tokens = self._mask_tokens.to(controlnet_cond)
            controlnet_cond = torch.cat([controlnet_cond, tokens], -1)
        return super().forward(hidden_states, controlnet_cond, *args, **kwargs)  # type: ignore[misc]


def mask_tokens(mask: Float[Tensor, "b 1 h w"], latent_scale: int) -> Float[Tensor, "b n 4"]:
    """Tokens [b, (h/s/2)·(w/s/2), 4] of a mask [b, 1, h, w] (1 = repaint), 1 where pixels are kept.

    Args:
        latent_scale: s, pixels of the picture a latent (8 for FLUX's VAE).
    """
    size = (mask.shape[-2] // latent_scale, mask.shape[-1] // latent_scale)
    kept = 1 - nn.functional.interpolate(mask.float(), size)
    b, _, h, w = kept.shape
    patches = kept.reshape(b, h // 2, 2, w // 2, 2).permute(0, 1, 3, 2, 4)
    return patches.reshape(b, (h // 2) * (w // 2), MASK_CHANNELS)
