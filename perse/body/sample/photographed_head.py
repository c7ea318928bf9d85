"""The portrait's head as a cut-out: the photographed face with its own hair, to be laid over a rendered body.

A head that is projected on a model has a model's hair, a cap with the photograph's colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.shapes import SoftMask

HEAD_PARTS = (Part.SKIN, Part.BROWS, Part.EYES, Part.NOSE, Part.MOUTH, Part.EARS, Part.HAIR, Part.BEARD)
CERTAIN = 0.85
"""Share of the head from which on a pixel has none of the portrait's background in it."""

Points = Float[np.ndarray, "l 2"]


@dataclass(frozen=True)
class HeadPicture:
    """A cut-out head in a larger picture.

    Attributes:
        color: [h, w, 3] in [0, 1]; outside of the head its colours go on.
        alpha: [h, w] in [0, 1].
    """

    color: Float32[np.ndarray, "h w 3"]
    alpha: SoftMask


def photographed_head(portrait: TrackedPortrait, here: Points, there: Points, size: tuple[int, int]) -> HeadPicture:
    """Lay a tracked head where a picture has the same landmarks.

    Args:
        here, there: pixels of landmarks in the portrait's crop and in the picture.
        size: width and height of the picture.
    """
    alpha = np.sum([portrait.masks[part] for part in HEAD_PARTS], axis=0) * (portrait.inside / np.float32(255))
    alpha = np.clip(alpha, 0, 1).astype(np.float32)
    _, (rows, columns) = distance_transform_edt(alpha < CERTAIN, return_indices=True)
    color = portrait.image[rows, columns].astype(np.float32) / np.float32(255)
    matrix = similarity_2d(here, there)
    return HeadPicture(_warped(color, matrix, size), _warped(alpha, matrix, size))


def similarity_2d(here: Points, there: Points) -> Float[np.ndarray, "2 3"]:
    """Turn, scale and shift that bring points nearest to their partners, least squares: there = matrix @ (x, y, 1)."""
    source, target = (points.astype(np.float64) @ np.array([1, 1j]) for points in (here, there))
    centred = source - source.mean()
    turn = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred).real
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _warped(
    values: NDArray[np.float32], matrix: Float[np.ndarray, "2 3"], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Values at another place and size; nothing outside of them."""
    scale = float(np.hypot(*matrix[:, 0]))
    if scale < 0.9:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), 0.45 / scale), np.float32)
    indices = matrix.copy()
    # cv2 counts pixel indices; our pixel centres stand at index + 0.5.
    indices[:, 2] += 0.5 * (indices[:, 0] + indices[:, 1]) - 0.5
    return np.asarray(cv2.warpAffine(values, indices, size, flags=cv2.INTER_LINEAR), np.float32)
