"""The seam: two pictures of one pose in, pictures between them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MorphEnd:
    """One end of an interpolation (a *pivot*): a subject in one frame of the shared motion.

    Attributes:
        image: [h, w, 3] uint8 RGB on white.
        alpha: [h, w] uint8.
        shape: [h, w] bool, the pixels of the edited part; may be empty (a bald head has no hair).
        landmarks_px: [l, 2] float32 of this pose, pixel centres at half-integers; the same l points in both ends.
    """

    image: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    shape: NDArray[np.bool_]
    landmarks_px: NDArray[np.float32]

    def __post_init__(self) -> None:
        size = self.image.shape[:2]
        if self.alpha.shape != size or self.shape.shape != size or self.image.shape[2:] != (3,):
            raise ValueError(
                f"image [h, w, 3], alpha [h, w] and shape [h, w] must agree, got {self.image.shape}, "
                f"{self.alpha.shape} and {self.shape.shape}"
            )


@dataclass(frozen=True)
class Morph:
    """Pictures between two ends.

    Attributes:
        positions: [m] float32, where each lies between the first end (0) and the second (1).
        images: [m, h, w, 3] uint8 RGB on white.
        alphas: [m, h, w] uint8.
        shapes: [m, h, w] bool, the pixels of the edited part in each; None where the morpher does not know.
    """

    positions: NDArray[np.float32]
    images: NDArray[np.uint8]
    alphas: NDArray[np.uint8]
    shapes: NDArray[np.bool_] | None = None


class Morpher(Protocol):
    """Interpolates in 2D. Deterministic; the ends are exact: position 0 is `first` and 1 is `second`, to the bit."""

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        """Pictures at `positions`, each in [0, 1].

        Raises:
            ValueError: the ends differ in size, or a position lies outside [0, 1].
        """
        ...
