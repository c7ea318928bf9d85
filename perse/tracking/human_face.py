"""Test that tells human faces from animals': what a second detector makes of a face that fits a human head badly.

The landmark network lays a human mask over a monkey or a fox-faced dog, and the best head fits it as well as it fits a
scream. dlib's detector of histograms of gradients knows human faces alone: to 64 pictures of some forty people
(photographs, paintings, frames of videos) it gives more than .5 but for one (glasses below curls: − .3, with landmarks
that fit well), to the four animals whose landmarks fit a head .02 at most. So a face is refused that fails in both.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from perse.shapes import FaceLandmarks, SquarePicture
from perse.tracking.detection import face_width
from perse.tracking.landmarks import N_SURFACE

LEAST_LISTED = -1.0
"""Scores that the detector lists; from 0 on it calls a window a face."""
ENLARGED = 1
"""Times that the crop is doubled before: turned faces are found better (a painted girl over her shoulder: .54)."""
NEAR_WIDTHS = 0.4
"""How far from the landmarks' middle a window's may be, face widths."""


def human_score(image: SquarePicture, landmarks_px: FaceLandmarks) -> float:
    """Score by dlib of the face at these landmarks; `LEAST_LISTED` where it sees none, infinite without dlib."""
    if find_spec("dlib") is None:
        return float("inf")
    windows, scores, _ = _detector().run(np.ascontiguousarray(image), ENLARGED, LEAST_LISTED)
    middle, width = landmarks_px[:N_SURFACE, :2].mean(0), face_width(landmarks_px)
    near = [
        score
        for window, score in zip(windows, scores, strict=True)
        if np.abs([window.center().x - middle[0], window.center().y - middle[1]]).max() < NEAR_WIDTHS * width
    ]
    return float(max(near, default=LEAST_LISTED))


@lru_cache(maxsize=1)
def _detector() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()
