"""Window around a face that LivePortrait sees and draws, and how what it drew gets back into the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float64

from perse.curves import smoothstep
from perse.shapes import Picture, SoftMask, SquarePicture
from perse.tracking import landmarks as marks

_FACE = (*marks.JAW_LINE, *marks.LEFT_BROW_UPPER, *marks.RIGHT_BROW_UPPER)
"""The face from chin to brows. LivePortrait was trained on windows around such landmarks, without the forehead."""
WHITE = (255.0, 255.0, 255.0)


@dataclass(frozen=True, kw_only=True)
class CropFraming:
    """Extent of the window around the face; the defaults are the published ones."""

    scale: float = 2.3
    """Side of the window, in longer sides of the face's bounding box."""
    up: float = 0.125
    """How far the window's middle lies above the face's, in sides of the window."""
    feather: float = 0.08
    """Width of the soft border with which the window is put back, in sides of the window."""


@dataclass(frozen=True)
class HeadCrop:
    """A square window, upright to the face.

    Attributes:
        matrix: [2, 3] float64, from pixels of the picture (the first pixel's centre is at 0.5) to 0…1 in the window.
    """

    matrix: Float64[np.ndarray, "2 3"]

    @staticmethod
    def around(landmarks_px: Float[np.ndarray, "478 c"], framing: CropFraming) -> HeadCrop:
        """The window around a face.

        Args:
            landmarks_px: [478, 2 or 3], mediapipe's, in pixels of the picture.
        """
        points = landmarks_px[:, :2].astype(np.float64)
        eyes = (points[list(marks.LEFT_EYE)].mean(0) + points[list(marks.RIGHT_EYE)].mean(0)) / 2
        down = points[list(marks.MOUTH_CORNERS)].mean(0) - eyes
        down /= max(float(np.linalg.norm(down)), 1e-9)
        axes = np.array([[down[1], -down[0]], down])  # to the right of the face, and down
        face = points[list(_FACE)] @ axes.T
        low, high = face.min(0), face.max(0)
        side = framing.scale * float((high - low).max())
        corner = (low + high) / 2 - side * np.array([0.5, 0.5 + framing.up])
        return HeadCrop(np.concatenate([axes / side, -corner[:, None] / side], 1))

    def resized(self, factor: float) -> HeadCrop:
        """The same window of a picture that is so many times as large."""
        return HeadCrop(self.matrix * np.array([1 / factor, 1 / factor, 1.0]))

    def cut(self, image: Picture, size_px: int) -> SquarePicture:
        """The window as a picture [s, s, 3]; beyond the border it is white."""
        double = (2 * size_px, 2 * size_px)
        seen = cv2.warpAffine(image, self._indices(2 * size_px), double, borderValue=WHITE)
        return np.asarray(cv2.resize(seen, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)

    def weight(self, image: Picture, framing: CropFraming) -> SoftMask:
        """Weight [h, w] by which the window replaces each pixel of the picture: 1 inside, falling softly at its
        border."""
        height, width = image.shape[:2]
        y, x = np.mgrid[:height, :width].astype(np.float64) + 0.5
        inside = np.einsum("ij,jhw->ihw", self.matrix, np.stack([x, y, np.ones_like(x)]))
        to_border = np.minimum(inside, 1 - inside).min(0)
        return smoothstep(to_border, 0.0, framing.feather)

    def put_back(self, drawn: SquarePicture, image: Picture, weight: SoftMask) -> Picture:
        """The picture with the window's content [s, s, 3] over it."""
        height, width = image.shape[:2]
        back = cv2.warpAffine(
            drawn, self._indices(len(drawn)), (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        mixed = image + weight[..., None] * (np.asarray(back, np.float32) - image)
        return np.round(mixed).clip(0, 255).astype(np.uint8)

    def _indices(self, size_px: int) -> Float64[np.ndarray, "2 3"]:
        """From pixel indices of the picture to pixel indices of the window at a size; centres stand at index + 0.5."""
        linear = self.matrix[:, :2] * size_px
        shift = self.matrix[:, 2] * size_px + linear @ (0.5, 0.5) - 0.5
        return np.concatenate([linear, shift[:, None]], 1)
