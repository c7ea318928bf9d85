"""CLIP ViT-B/32 through open_clip, from a local checkpoint (the paper's encoder; P Fig. 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perse.errors import MissingWeightsError
from perse.features.encoder import WIDTH, Features, check_batch


@dataclass(frozen=True, kw_only=True)
class OpenClipEncoderConfig:
    """Which CLIP, from where."""

    checkpoint: Path
    """Weights of the architecture as safetensors; a pickled checkpoint is refused."""
    architecture: str = "ViT-B-32"
    """open_clip's name of the architecture."""
    device: str = "cpu"
    """Where it runs."""

    def build(self) -> OpenClipEncoder:
        return OpenClipEncoder(self)


class OpenClipEncoder:
    """Loads once, encodes many. Pictures are padded to a white square, resized and normalised as CLIP was trained."""

    def __init__(self, config: OpenClipEncoderConfig) -> None:
        """
        Raises:
            MissingWeightsError: no checkpoint there, not safetensors, or of another architecture.
        """
        self._device = torch.device(config.device)
        self._model, self._tokenizer, self._mean, self._std, self._side = _load(config)
        self._model.to(self._device).eval()

    @torch.inference_mode()
    def encode(self, images: NDArray[np.uint8], texts: Sequence[str]) -> Features:
        """See `PromptImageEncoder.encode`."""
        check_batch(images, texts)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(self._device, torch.float32) / 255
        height, width = pixels.shape[-2:]
        missing = abs(height - width)
        before, after = missing // 2, missing - missing // 2
        padding = (before, after, 0, 0) if height > width else (0, 0, before, after)
        pixels = torch.nn.functional.pad(pixels, padding, value=1.0)
        pixels = torch.nn.functional.interpolate(
            pixels, size=(self._side, self._side), mode="bicubic", antialias=True, align_corners=False
        ).clamp(0, 1)
        pixels = (pixels - self._mean.to(self._device)) / self._std.to(self._device)
        image = self._model.encode_image(pixels, normalize=True)
        text = self._model.encode_text(self._tokenizer(list(texts)).to(self._device), normalize=True)
        return Features(image.float().cpu(), text.float().cpu())


def _load(config: OpenClipEncoderConfig) -> tuple[Any, Any, torch.Tensor, torch.Tensor, int]:
    import open_clip
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
    from safetensors.torch import load_file

    if not config.checkpoint.is_file():
        raise MissingWeightsError(
            f"CLIP weights are expected at {config.checkpoint} and are not there; put the safetensors file of "
            f"{config.architecture} there, or use the embedded encoder"
        )
    if config.checkpoint.suffix != ".safetensors":
        raise MissingWeightsError(
            f"{config.checkpoint.name} is not a .safetensors file; pickled checkpoints can run code and are refused"
        )
    model = open_clip.create_model(config.architecture, pretrained=None)
    try:
        model.load_state_dict(load_file(config.checkpoint))
    except Exception as error:  # safetensors and torch raise different kinds
        raise MissingWeightsError(
            f"{config.checkpoint.name} does not hold the weights of {config.architecture}; give a matching file"
        ) from error
    size = model.visual.image_size
    width = getattr(model.visual, "output_dim", WIDTH)
    if width != WIDTH:
        raise MissingWeightsError(f"{config.architecture} gives {width} features, {WIDTH} are needed; use ViT-B-32")
    mean = torch.tensor(OPENAI_DATASET_MEAN).reshape(3, 1, 1)
    std = torch.tensor(OPENAI_DATASET_STD).reshape(3, 1, 1)
    side = size[0] if isinstance(size, tuple) else size
    return model, open_clip.get_tokenizer(config.architecture), mean, std, side
