"""Orientation of pictures that lie on their side or upside down and do not say so, by the face in them."""

from __future__ import annotations

import logging

import numpy as np
from jaxtyping import UInt8

from perse.shapes import FaceLandmarks, Picture
from perse.tracking import landmarks as marks
from perse.tracking.detection import FaceBox, detect_faces, landmarks_in_window

log = logging.getLogger(__name__)

LYING_DEG = 50.0
"""A face that leans further than this lies rather than stands."""
LYING_COSTS = 0.25
"""What lying costs in confidence. Of 12 portraits turned by quarters, upright faces reached .84 to .98; upside down the
mesh takes chin for forehead and leans little, but the detector gives .76 at most; on the side it gives up to .89, but
the mesh leans by 80° to 99°, or by 33° to 41° where it is wrong."""
CLEARLY, SURELY = 0.06, 0.6
"""A turned copy must be better by this much, and reach this much: doubtful faces stay as they are."""


def upright(image: Picture) -> UInt8[np.ndarray, "a b 3"]:
    """Picture [h, w, 3], turned by a quarter or a half if that shows the face clearly better; else the same."""
    best, turns = _uprightness(image), 0
    for quarter in (1, 2, 3):
        turned = _uprightness(np.ascontiguousarray(np.rot90(image, quarter)))
        if turned > SURELY and turned - CLEARLY > best:
            best, turns = turned - CLEARLY, quarter
    if not turns:
        return image
    log.warning("the picture was turned by %d degrees counter-clockwise: its face stood better so", 90 * turns)
    return np.ascontiguousarray(np.rot90(image, turns))


def _uprightness(image: Picture) -> float:
    """Confidence of the detector in the surest face, in [0, 1], less if it lies; 0 without one."""
    faces = detect_faces(image)
    if not faces:
        return 0.0
    face = max(faces, key=lambda face: face.score)
    lean = _lean(image, face)
    lies = lean is None or abs(lean) > LYING_DEG
    return face.score - LYING_COSTS * lies


def _lean(image: Picture, face: FaceBox) -> float | None:
    """Angle of the line between the eyes, degrees; None where no features are found."""
    points = landmarks_in_window(
        image, face.left - 0.5 * face.width, face.top + 0.5 * face.height - face.width, 2 * face.width, 512
    )
    return None if points is None else lean_of(points)


def lean_of(points: FaceLandmarks) -> float:
    """Angle of the line from the right to the left eye of landmarks [478, 2 or 3], degrees, clockwise."""
    right, left = (points[list(eye), :2].mean(0) for eye in (marks.RIGHT_EYE, marks.LEFT_EYE))
    return float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0])))
