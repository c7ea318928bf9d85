"""Beards and moustaches in the photograph, by colour against the cheeks' skin."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.tracking import landmarks as marks
from perse.tracking.colors import blur, guided_filter, smoothstep, to_gray
from perse.tracking.frame import FaceFrame
from perse.tracking.person import disk
from perse.tracking.polygons import landmark_mask

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

MIN_SHARE = 0.12
"""A beard or moustache covers at least this share of where one can grow; less is a shadow or a fold."""
DARKER_BY = 14.0
"""CIELAB lightness below the cheeks at which skin becomes beard, at half strength."""


def beard_mask(image: Image, lab: Floats, points: Floats, frame: FaceFrame, person: Floats) -> Floats:
    """[h, w] in [0, 1]; all zeros for a shaved face.

    Dark and less coloured than the cheeks: shadows keep the skin's chroma, hair does not.
    """
    shape = lab.shape[:2]
    zone = _growing_zone(points, frame, shape) * person
    cheeks = _cheeks(points, frame, shape)
    if zone.sum() < 50 or cheeks.sum() < 50:
        return np.zeros(shape, np.float32)
    smooth = blur(lab, 0.008 * frame.width_px + 0.5)
    skin_lightness = float(np.median(smooth[..., 0][cheeks]))
    skin_chroma = float(np.median(np.hypot(smooth[..., 1], smooth[..., 2])[cheeks]))
    darker = smoothstep(skin_lightness - smooth[..., 0], 0.6 * DARKER_BY, 1.6 * DARKER_BY)
    chroma = np.hypot(smooth[..., 1], smooth[..., 2])
    # Shaded skin darkens along its own hue: its chroma falls with its lightness, no faster.
    expected = skin_chroma * np.clip(smooth[..., 0] / max(skin_lightness, 1), 0.3, 1)
    grayer = smoothstep(expected - chroma, -0.02 * skin_chroma, 0.22 * skin_chroma)
    likely = zone * darker * grayer
    share = float(likely[zone > 0.5].mean()) if (zone > 0.5).any() else 0.0
    if share < MIN_SHARE:
        return np.zeros(shape, np.float32)
    closed = cv2.morphologyEx(likely.astype(np.float32), cv2.MORPH_CLOSE, disk(0.015 * frame.width_px))
    gray = to_gray(image)
    return (
        guided_filter(gray, np.asarray(closed, np.float32), max(2, round(0.015 * frame.width_px)), 1e-3) * zone
    ).astype(np.float32)


def _growing_zone(points: Floats, frame: FaceFrame, shape: tuple[int, int]) -> Floats:
    """Below the nose, inside the face and a little under the chin, without the lips."""
    face = landmark_mask(points, marks.FACE_OVAL, shape, grow=1.06)
    lips = landmark_mask(points, marks.LIPS_OUTER, shape, grow=1.12)
    below = smoothstep(frame.down, frame.nose + 0.02, frame.nose + 0.06)
    return (face * below * (1 - lips)).astype(np.float32)


def _cheeks(points: Floats, frame: FaceFrame, shape: tuple[int, int]) -> NDArray[np.bool_]:
    face = landmark_mask(points, marks.FACE_OVAL, shape, grow=0.9)
    band = (frame.down > 0.14) & (frame.down < frame.nose - 0.02) & (np.abs(frame.across) > 0.12)
    return (face > 0.9) & band
