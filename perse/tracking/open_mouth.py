"""Correction of the lower lip of a wide open mouth: the face mesh network stops too early there, and the picture itself
knows better.

On screaming and yawning people the network leaves the lower lip and the chin up to a tenth of the face's width too
high: it puts the lip's contour into the dark of the mouth. The red of the lip is then painted on the chin.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import FaceLandmarks, Picture
from perse.tracking.colors import blur, to_lab
from perse.tracking.detection import face_width
from perse.tracking.landmarks import CHIN, FOREHEAD, LIPS_LOWER_INNER, LIPS_LOWER_OUTER, MOUTH_CORNERS, N_SURFACE
from perse.tracking.lip_correspondence import LOWER_COLUMNS

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

OPEN_WIDTHS = 0.16
"""Height of the opening in face widths from which on the network is not believed (a broad laugh has 0.1)."""
REACH_WIDTHS = 0.13
"""How far below its landmark the lip's lower edge is looked for, face widths."""
EDGE_WIDTHS = 0.03
"""Length of the stretches above and below the edge whose redness is compared, face widths."""
LEAST_DROP = 3.0
"""Redness (CIELAB a*) that is lost from the lip to the chin; with less, no edge is seen."""
_MIDDLE = (84, 17, 314)
_UPPER, _LOWER = 13, 14


def lowered_lip(image: Picture, landmarks_px: FaceLandmarks) -> FaceLandmarks:
    """Landmarks [478, 2 or 3] with the lower lip and the chin where the picture [h, w, 3] shows them.

    Mouths that are not wide open, and those whose lip has no edge of redness, keep theirs.
    """
    width = face_width(landmarks_px)
    opening = float(np.linalg.norm(landmarks_px[_LOWER, :2] - landmarks_px[_UPPER, :2]))
    if opening < OPEN_WIDTHS * width:
        return landmarks_px
    down = landmarks_px[CHIN, :2] - landmarks_px[FOREHEAD, :2]
    down = (down / np.linalg.norm(down)).astype(np.float32)
    shift = _shift(image, landmarks_px, down, width)
    moved = landmarks_px.copy()
    moved[:N_SURFACE, :2] += (shift * _share(landmarks_px, down))[:, None] * down
    return moved


def _shift(image: Image, points: Floats, down: Floats, width: float) -> float:
    """How far the lip's lower edge lies below its landmarks, pixels: the median of three columns."""
    redness = blur(to_lab(image)[..., 1], 0.01 * width)
    stretch = max(2, round(EDGE_WIDTHS * width))
    steps = np.arange(-stretch, round(REACH_WIDTHS * width) + stretch, dtype=np.float32)
    found = []
    for mark in _MIDDLE:
        line = points[mark, :2] + steps[:, None] * down
        profile = cv2.remap(redness, line[None, :, 0], line[None, :, 1], cv2.INTER_LINEAR)[0]
        sums = np.concatenate([[0.0], np.cumsum(profile)])
        means = (sums[stretch:] - sums[:-stretch]) / stretch
        drop = means[:-stretch] - means[stretch:]
        best = int(drop.argmax())
        found.append(float(best) if drop[best] > LEAST_DROP else 0.0)
    return float(np.median(found))


def _share(points: Floats, down: Floats) -> Floats:
    """How much of the shift each surface landmark takes part in, [468]: the lower lip and the chin all of it, the
    mouth's corners and the cheeks none."""
    height = points[:N_SURFACE, :2] @ down
    corner = float(height[list(MOUTH_CORNERS)].mean())
    lip = float(height[list(LIPS_LOWER_OUTER[4:7])].mean())
    middle = points[CHIN, :2]
    across = np.abs((points[:N_SURFACE, :2] - middle) @ np.array([down[1], -down[0]], np.float32))
    half = float(np.ptp(points[list(MOUTH_CORNERS), 0]))
    share = smoothstep(height, corner, lip) * smoothstep(across, 1.3 * half, 0.5 * half)
    lips = [mark for column in LOWER_COLUMNS for mark in column] + list(LIPS_LOWER_INNER)
    along = smoothstep(height[lips], corner, float(height[[87, _LOWER, 317]].mean()))
    share[lips] = np.maximum(share[lips], along)
    upper = height < corner
    share[upper] = 0
    return np.asarray(share, np.float32)
