"""Hands in the picture, by mediapipe's hand landmarks: colours take them for an ear, a neck or a bare shoulder.

A hand belongs to the body and stays with it when the head turns, so its skin is the part NECK, wherever it lies.
"""

from __future__ import annotations

import cv2
import numpy as np

from perse.shapes import Picture, SoftMask
from perse.tracking.colors import blur
from perse.tracking.detection import detect_hands

BONES = (
    (0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11), (11, 12),
    (9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (0, 17), (17, 18), (18, 19), (19, 20),
)  # fmt: skip
"""Pairs of mediapipe's 21 landmarks: wrist, then four of each finger from the thumb on."""
PALM = (0, 1, 5, 9, 13, 17)
THICKNESS = 0.4
"""Of a finger with its surroundings, in lengths of the palm; only the skin within is taken."""
SOFT_PX = 1.5


def find_hands(image: Picture) -> SoftMask:
    """Share [h, w] in [0, 1] of each pixel that lies in or next to a hand; zeros where none is seen.

    Args:
        image: [h, w, 3] uint8 RGB.
    """
    covered = np.zeros(image.shape[:2], np.uint8)
    for points in detect_hands(image):
        # The longest of the palm's bones: a hand seen from its edge has hardly a width.
        length = float(np.linalg.norm(points[[5, 9, 13, 17]] - points[0], axis=1).max())
        thickness = max(1, round(THICKNESS * length))
        at = np.round(points).astype(np.int32)
        cv2.fillPoly(covered, [cv2.convexHull(at[list(PALM)])], 1)
        for first, second in BONES:
            cv2.line(covered, tuple(at[first].tolist()), tuple(at[second].tolist()), 1, thickness)
    return blur(covered.astype(np.float32), SOFT_PX)
