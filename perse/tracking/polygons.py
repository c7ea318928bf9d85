"""Soft masks of landmark contours."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32

from perse.shapes import SoftMask
from perse.tracking.colors import blur

SUBPIXELS = 4
_SHIFT_BITS = 4


def smooth_contour(points: Float32[np.ndarray, "n 2"], samples: int = 160) -> Float32[np.ndarray, "m 2"]:
    """Contour [samples, 2]: a closed one [n, 2] resampled along a Catmull–Rom spline."""
    n = len(points)
    t = np.arange(samples) * n / samples
    index = t.astype(int)
    u = (t - index)[:, None]
    p0, p1, p2, p3 = (points[(index + shift) % n] for shift in (-1, 0, 1, 2))
    curve = 0.5 * (2 * p1 + (p2 - p0) * u + (2 * p0 - 5 * p1 + 4 * p2 - p3) * u**2 + (3 * p1 - p0 - 3 * p2 + p3) * u**3)
    return np.asarray(curve, np.float32)


def contour_mask(
    points_px: Float32[np.ndarray, "n 2"], shape: tuple[int, int], *, feather_px: float = 0.0, smooth: bool = True
) -> SoftMask:
    """Coverage of a closed contour [n, 2] (pixel centres at 0.5): [h, w] in [0, 1], antialiased, then blurred."""
    height, width = shape
    contour = smooth_contour(points_px) if smooth else points_px
    canvas = np.zeros((height * SUBPIXELS, width * SUBPIXELS), np.uint8)
    fixed = np.round((contour * SUBPIXELS - 0.5) * 2**_SHIFT_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 255, shift=_SHIFT_BITS)
    mask = np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255), np.float32)
    return blur(mask, feather_px) if feather_px else mask


def landmark_mask(
    landmarks_px: Float32[np.ndarray, "478 d"],
    loop: Sequence[int],
    shape: tuple[int, int],
    *,
    grow: float = 1.0,
    feather_px: float = 0.0,
) -> SoftMask:
    """Coverage of a landmark loop, scaled by `grow` about its centre: [h, w] in [0, 1]."""
    points = landmarks_px[list(loop), :2]
    centre = points.mean(0)
    return contour_mask((points - centre) * grow + centre, shape, feather_px=feather_px)
