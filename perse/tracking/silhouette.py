"""Silhouette of the person as mediapipe's network sees it in several views: plain, mirrored, and near by.

One look at a whole crop misses pigtails, and a veil on one side only: the network was made for video calls, sees 256
pixels, and is not symmetric. Where its answers differ it does not know, and colours decide (`perse.tracking.person`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import Picture, SoftMask
from perse.tracking.detection import person_probability

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

NEAR_WIDTHS = 2.06
"""Side of the near view, face widths: a head with its hair fills it."""
NEAR_UP = 0.2
"""How far its middle lies above the eyes, face widths."""
NEAR_PX = 256
RIM = 0.12
"""Share of the near view's side over which it counts less and less: at its border the person is cut."""


@dataclass(frozen=True)
class Silhouette:
    """Silhouette from several views, each [h, w] in [0, 1].

    Attributes:
        likely: their mean.
        possible: the largest.
    """

    likely: SoftMask
    possible: SoftMask


def person_silhouette(image: Picture, eyes_px: tuple[float, float], face_width_px: float) -> Silhouette:
    """Silhouette of the person in a picture [h, w, 3].

    Args:
        eyes_px: the point between the eyes; face_width_px: natural unit of distances.
    """
    plain = person_probability(image)
    mirrored = person_probability(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
    near, weight = _near_view(image, eyes_px, face_width_px)
    likely = (plain + mirrored + weight * near) / (2 + weight)
    possible = np.maximum.reduce([plain, mirrored, weight * near])
    return Silhouette(np.asarray(likely, np.float32), np.asarray(possible, np.float32))


def _near_view(image: Image, eyes_px: tuple[float, float], width_px: float) -> tuple[Floats, Floats]:
    """Its opinion [h, w] and how much that counts there [h, w], nothing outside the window."""
    side = NEAR_WIDTHS * width_px
    scale = NEAR_PX / side
    left, top = eyes_px[0] - side / 2, eyes_px[1] - NEAR_UP * width_px - side / 2
    there = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)
    window = cv2.warpAffine(image, there, (NEAR_PX, NEAR_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    seen = person_probability(np.asarray(window, np.uint8))
    axis = np.minimum(np.arange(NEAR_PX), np.arange(NEAR_PX)[::-1]).astype(np.float32) / NEAR_PX
    sure = smoothstep(np.minimum(axis[:, None], axis[None]), 0.0, RIM)
    size = image.shape[1::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back = [np.asarray(cv2.warpAffine(layer, there, size, flags=flags), np.float32) for layer in (seen, sure)]
    return back[0], back[1]
