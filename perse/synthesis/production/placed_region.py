"""Region of a part that the segmenter has no class for: from the tracked landmarks, without a mask portrait."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

from perse.attributes import Category
from perse.data import TrackedPortrait
from perse.errors import GenerationError
from perse.shapes import ByteMask, SoftMask
from perse.tracking import landmarks as marks

PLACED = (Category.BEARD, Category.EARRINGS, Category.HEADPHONES)
"""Categories that parsers commonly lack and whose place the face itself tells."""


def placed_region(portrait: TrackedPortrait, category: Category) -> SoftMask:
    """Hard mask M_text where none can be had from a mask portrait.

    Raises:
        GenerationError: the category has no place of its own; a segmenter that knows it is needed.
    """
    if category not in PLACED:
        raise GenerationError(
            f"the segmenter's label map names no part for {category.value}, and its place cannot be told from "
            f"landmarks (only {', '.join(c.value for c in PLACED)}): use a segmenter that knows it"
        )
    draw = {Category.BEARD: _lower_face, Category.EARRINGS: _below_ears, Category.HEADPHONES: _ears_and_band}
    canvas = np.zeros(portrait.image.shape[:2], np.uint8)
    draw[category](canvas, portrait.landmarks_px[:, :2], portrait.face_width_px)
    return canvas.astype(np.float32)


def _lower_face(canvas: ByteMask, points: Float32[np.ndarray, "478 2"], width: float) -> None:
    """Jaw, cheeks below the nose, and upper lip; the mouth is left to the protected parts."""
    oval = points[list(marks.FACE_OVAL)]
    nose_y = points[list(marks.NOSE)][:, 1].max()
    below = oval[oval[:, 1] > nose_y - 0.05 * width]
    grown = below + (below - below.mean(0)) * 0.12
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.round(grown).astype(np.int32)), 1)


def _ears(points: Float32[np.ndarray, "478 2"]) -> tuple[Float32[np.ndarray, "2"], Float32[np.ndarray, "2"]]:
    """The two points of the oval beside the ears, picture's left first."""
    oval = points[list(marks.FACE_OVAL)]
    return oval[oval[:, 0].argmin()], oval[oval[:, 0].argmax()]


def _below_ears(canvas: ByteMask, points: Float32[np.ndarray, "478 2"], width: float) -> None:
    for ear, outwards in zip(_ears(points), (-1, 1), strict=True):
        centre = (round(float(ear[0] + outwards * 0.07 * width)), round(float(ear[1] + 0.28 * width)))
        cv2.ellipse(canvas, centre, (max(1, round(0.12 * width)), max(1, round(0.24 * width))), 0, 0, 360, 1, -1)


def _ears_and_band(canvas: ByteMask, points: Float32[np.ndarray, "478 2"], width: float) -> None:
    left, right = _ears(points)
    for ear, outwards in ((left, -1), (right, 1)):
        centre = (round(float(ear[0] + outwards * 0.08 * width)), round(float(ear[1] + 0.05 * width)))
        cv2.ellipse(canvas, centre, (max(1, round(0.2 * width)), max(1, round(0.32 * width))), 0, 0, 360, 1, -1)
    middle = (round(float(left[0] + right[0]) / 2), round(float(left[1] + right[1]) / 2))
    axes = (max(1, round(float(right[0] - left[0]) / 2 + 0.1 * width)), max(1, round(0.98 * width)))
    cv2.ellipse(canvas, middle, axes, 0, 180, 360, 1, max(1, round(0.2 * width)))
