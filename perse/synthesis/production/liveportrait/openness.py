"""Openness of eyes and lips, as LivePortrait's retargeting heads are told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_RIGHT_EYE, _LEFT_EYE = (159, 145, 33, 133), (386, 374, 362, 263)
_LIPS = (13, 14, 61, 291)
"""Landmarks above and below, and at both corners. The lips are measured inside, between their outer corners."""


@dataclass(frozen=True)
class Openness:
    """Openness of eyes and lips, as heights over widths.

    Attributes:
        eyes: of the person's right and left eye (the heads take the picture's left first).
        lips: of the gap between the lips.
    """

    eyes: tuple[float, float]
    lips: float

    @staticmethod
    def of(landmarks_px: Float[np.ndarray, "478 c"]) -> Openness:
        """Openness in mediapipe's 478 landmarks."""

        def ratio(above: int, below: int, corner: int, other: int) -> float:
            def distance(a: int, b: int) -> float:
                return float(np.linalg.norm(landmarks_px[a, :2] - landmarks_px[b, :2]))

            return distance(above, below) / max(distance(corner, other), 1e-6)

        return Openness((ratio(*_RIGHT_EYE), ratio(*_LEFT_EYE)), ratio(*_LIPS))
