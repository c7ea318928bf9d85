"""Tokens of the portrait as a whole, for cross-attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from perse.errors import MissingWeightsError
from perse.features import FEATURE_SIZE, EmbeddedEncoder
from perse.shapes import Pictures
from perse.synthesis.production.generation import PipelineSettings, load_model
from perse.synthesis.production.model_store import Weights

_CLIP_VISION = Weights(name="clip-vit-large-patch14")


class ImageTokens(Protocol):
    """Encoder of whole pictures."""

    def encode(self, pictures: Pictures) -> Float[Tensor, "n t width"]:
        """Tokens [n, t, width] float32 of pictures [n, h, w, 3] uint8 RGB; no gradients."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClipImageTokensConfig:
    """Configuration of CLIP's image embedding as the only token, in place of text (sd-image-variations' ViT-L/14: 768
    wide)."""

    weights: Weights = _CLIP_VISION
    """Folder of a `CLIPVisionModelWithProjection` and its image processor."""

    def build(self, device: torch.device) -> ClipImageTokens:
        """Encoder with its network in memory.

        Raises:
            MissingWeightsError: the folder is not there or holds something else.
        """
        from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

        folder = self.weights.locate()
        model = load_model(CLIPVisionModelWithProjection, folder, PipelineSettings())
        try:
            processor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise MissingWeightsError(f"{folder} has no preprocessor_config.json of a CLIP image encoder") from error
        return ClipImageTokens(processor, model.to(device).requires_grad_(False))


class ClipImageTokens:
    """Encoder by CLIP; see `ClipImageTokensConfig`."""

    def __init__(self, processor: Any, model: Any) -> None:
        self._processor, self._model = processor, model

    @torch.no_grad()
    def encode(self, pictures: Pictures) -> Float[Tensor, "n t width"]:
        """See `ImageTokens.encode`."""
        pixels = self._processor(images=list(pictures), return_tensors="pt")["pixel_values"]
        pixels = pixels.to(self._model.device, self._model.dtype)
        return self._model(pixel_values=pixels).image_embeds[:, None].float()


@dataclass(frozen=True, kw_only=True)
class DescriptorTokensConfig:
    """Configuration of the embedded descriptor, 512 wide: no weights."""

    def build(self, device: torch.device) -> DescriptorTokens:
        return DescriptorTokens(device)


class DescriptorTokens:
    """Encoder by the embedded descriptor, brought to unit deviation, as layers expect their input."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._encoder = EmbeddedEncoder()

    def encode(self, pictures: Pictures) -> Float[Tensor, "n t width"]:
        """See `ImageTokens.encode`."""
        features = self._encoder.encode(pictures, [""] * len(pictures)).image
        return (features * FEATURE_SIZE**0.5)[:, None].to(self._device)
