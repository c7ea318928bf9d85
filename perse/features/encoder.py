"""Seam of the feature encoders: f_I and f_T of Eq. 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from numpy.typing import NDArray
from torch import Tensor

FEATURE_SIZE = 512
"""Length of f_I and of f_T, CLIP ViT-B/32's."""


@dataclass(frozen=True)
class Features:
    """Features of subjects, as an encoder gives them.

    Attributes:
        image: [b, 512] float32, unit length.
        text: [b, 512] float32, unit length.
    """

    image: Float[Tensor, "b 512"]
    text: Float[Tensor, "b 512"]


class PromptImageEncoder(Protocol):
    """Encoder of edited portraits and their prompts into the vectors that MLP_z maps to latents."""

    def encode(self, images: UInt8[np.ndarray, "b h w 3"], texts: Sequence[str]) -> Features:
        """Features of subjects. Deterministic, and each one independent of the others in the batch.

        Args:
            images: [b, h, w, 3] uint8 RGB.
            texts: b sentences.

        Raises:
            ValueError: the shapes do not fit together.
        """
        ...


def check_subjects(images: Shaped[NDArray[np.uint8], "..."], texts: Sequence[str]) -> None:
    """Raise ValueError unless the arguments are those of `PromptImageEncoder.encode`."""
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 [b, h, w, 3], got {images.dtype} {images.shape}")
    if len(texts) != len(images):
        raise ValueError(f"there must be one text an image, got {len(texts)} texts and {len(images)} images")
