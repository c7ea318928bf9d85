"""CLIP ViT-B/32, the paper's encoder, by open_clip from a local file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from perse.data.tensor_files import refuse_pickle
from perse.errors import MissingWeightsError
from perse.features.encoder import FEATURE_SIZE, Features, check_subjects

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""What CLIP's pictures were normalised with (Radford et al. 2021). The paper's released code leaves this out."""


class OpenClipEncoder:
    """A CLIP model with 512-dimensional embeddings. Nothing is downloaded."""

    def __init__(
        self, checkpoint: Path, *, architecture: str = "ViT-B-32-quickgelu", device: torch.device | str = ""
    ) -> None:
        """
        Args:
            checkpoint: weights as .safetensors.
            architecture: open_clip's name. OpenAI's weights belong to "ViT-B-32-quickgelu", LAION's to "ViT-B-32". One
                that open_clip does not know is described by a file ``<architecture>.json`` beside the weights, in
                open_clip's format.
            device: where the model runs; empty is a GPU if this process sees one.

        Raises:
            MissingWeightsError: open_clip or the file is not there, it is a pickle, or it does not hold this
                architecture.
        """
        if not checkpoint.is_file():
            raise MissingWeightsError(
                f"OpenClipEncoder needs CLIP weights, found no file {checkpoint}; download them, or use EmbeddedEncoder"
            )
        refuse_pickle(checkpoint)
        try:
            import open_clip
        except ImportError as error:
            raise MissingWeightsError("OpenClipEncoder needs the package open_clip_torch: pip install it") from error
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model: Any = _load(open_clip, architecture, checkpoint).to(self._device).eval().requires_grad_(False)
        size = self._model.visual.image_size
        self._size_px = int(size[0] if isinstance(size, tuple) else size)
        self._tokenize = open_clip.tokenizer.SimpleTokenizer(context_length=self._model.context_length)

    @torch.inference_mode()
    def encode(self, images: UInt8[np.ndarray, "b h w 3"], texts: Sequence[str]) -> Features:
        """See `PromptImageEncoder.encode`. Pictures are resized to CLIP's size by their shorter side and cut square."""
        check_subjects(images, texts)
        if not len(images):
            return Features(torch.zeros(0, FEATURE_SIZE), torch.zeros(0, FEATURE_SIZE))
        image = self._model.encode_image(self.prepare(images), normalize=True)
        text = self._model.encode_text(self._tokenize(list(texts)).to(self._device), normalize=True)
        return Features(image.float().cpu().clone(), text.float().cpu().clone())

    def prepare(self, images: UInt8[np.ndarray, "b h w 3"]) -> Float[Tensor, "b 3 s s"]:
        """Pictures [b, h, w, 3] as CLIP's input [b, 3, s, s]."""
        pictures = torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, 1).to(self._device, torch.float32)
        height, width = pictures.shape[-2:]
        scale = self._size_px / min(height, width)
        size = (max(self._size_px, round(height * scale)), max(self._size_px, round(width * scale)))
        if (height, width) != size:
            pictures = torch.nn.functional.interpolate(pictures, size, mode="bicubic", antialias=True)
        top, left = (size[0] - self._size_px) // 2, (size[1] - self._size_px) // 2
        pictures = pictures[..., top : top + self._size_px, left : left + self._size_px].clamp(0, 255) / 255
        mean, std = pictures.new_tensor(CLIP_MEAN), pictures.new_tensor(CLIP_STD)
        return (pictures - mean[:, None, None]) / std[:, None, None]


def _load(open_clip: Any, architecture: str, checkpoint: Path) -> Any:
    described = checkpoint.with_name(f"{architecture}.json")
    if described.is_file():
        open_clip.add_model_config(described)
    try:
        model = open_clip.create_model(architecture, pretrained=None, load_weights=False, precision="fp32")
    except RuntimeError as error:
        raise MissingWeightsError(
            f"open_clip knows no architecture {architecture!r}; see open_clip.list_models()"
        ) from error
    wrong = f"{checkpoint} does not hold the weights of {architecture}"
    try:
        open_clip.load_checkpoint(model, str(checkpoint), strict=True)
    except Exception as error:  # torch, safetensors and open_clip each have their own for a file they cannot use
        raise MissingWeightsError(f"{wrong}; give the file that belongs to it") from error
    if model.visual.output_dim != FEATURE_SIZE:
        raise MissingWeightsError(f"{architecture} has {model.visual.output_dim} features, {FEATURE_SIZE} are needed")
    return model
