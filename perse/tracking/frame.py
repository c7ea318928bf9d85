"""Face coordinates: what "beside", "below the chin" and "one face width" mean in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse.shapes import FaceLandmarks, SoftMask
from perse.tracking import landmarks as marks
from perse.tracking.detection import face_width


@dataclass(frozen=True)
class FaceCoordinates:
    """Pixel coordinates in face widths, turned with the head's roll; origin between the eyes.

    Attributes:
        width_px: face width, pixels.
        across: [h, w], towards the picture's right.
        down: [h, w], towards the chin.
        chin, nose, mouth, brow: `down` of these landmarks.
    """

    width_px: float
    across: SoftMask
    down: SoftMask
    chin: float
    nose: float
    mouth: float
    brow: float

    @staticmethod
    def of(landmarks_px: FaceLandmarks, shape: tuple[int, int]) -> FaceCoordinates:
        points = landmarks_px[:, :2].astype(np.float64)
        right, left = points[list(marks.RIGHT_EYE)].mean(0), points[list(marks.LEFT_EYE)].mean(0)
        origin, width = (left + right) / 2, face_width(landmarks_px)
        angle = np.arctan2(left[1] - right[1], left[0] - right[0])
        x_axis, y_axis = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])

        def down_of(*indices: int) -> float:
            return float(((points[list(indices)] - origin) @ y_axis).mean() / width)

        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64) + 0.5
        dx, dy = columns - origin[0], rows - origin[1]
        middle = float(((points[: marks.N_SURFACE] - origin) @ x_axis).mean())  # the eyes' middle is not the head's
        return FaceCoordinates(
            width_px=width,
            across=((dx * x_axis[0] + dy * x_axis[1] - 0.5 * middle) / width).astype(np.float32),
            down=((dx * y_axis[0] + dy * y_axis[1]) / width).astype(np.float32),
            chin=down_of(marks.CHIN),
            nose=down_of(marks.NOSE_BASE),
            mouth=down_of(*marks.MOUTH_CORNERS),
            brow=down_of(*marks.LEFT_BROW_UPPER, *marks.RIGHT_BROW_UPPER),
        )
