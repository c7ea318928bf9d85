"""The seam: a picture and a sentence in, two unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

WIDTH = 512
"""Length of f_I and of f_T: CLIP ViT-B/32's (P Fig. 11)."""


@dataclass(frozen=True)
class Features:
    """What an encoder says about b subjects.

    Attributes:
        image: [b, 512] float32, unit length.
        text: [b, 512] float32, unit length.
    """

    image: Tensor
    text: Tensor


class PromptImageEncoder(Protocol):
    """Describes edited portraits and their prompts. Deterministic."""

    def encode(self, images: NDArray[np.uint8], texts: Sequence[str]) -> Features:
        """Encode b pictures [b, h, w, 3] uint8 RGB and b sentences.

        Raises:
            ValueError: there are not as many sentences as pictures, or the pictures are not uint8 RGB.
        """
        ...


def check_batch(images: NDArray[np.uint8], texts: Sequence[str]) -> None:
    """
    Raises:
        ValueError: see `PromptImageEncoder.encode`.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 [b, h, w, 3], got {images.dtype} {images.shape}")
    if len(images) != len(texts):
        raise ValueError(f"expected a sentence for each picture, got {len(texts)} for {len(images)}")
