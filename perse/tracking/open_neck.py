"""Neckline: skin that goes on below the throat, before the garment begins.

A chest in the light is paler than cheeks, so that a colour model learned from the face calls it a garment, and then
teaches it to the garment's own. But light and shade scale a colour as a whole, and between throat and chest there is no
edge, while there is one along every hem. So skin grows from the throat over whatever keeps the face's proportion of
colours, up to the next edge.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.shapes import HardMask, SoftMask
from perse.tracking.colors import blur
from perse.tracking.frame import FaceCoordinates
from perse.tracking.pieces import pieces_touching

Floats = NDArray[np.float32]

DARK_L = 8.0
"""CIELAB lightness added before colours are divided by it: the noise of black is no colour."""
WITHIN = 3.0
"""Standard deviations of the face's own proportions within which a colour keeps them."""
NOISE = 0.02
"""Of a proportion: a deviation of 2 in a* or b* at the lightness of skin, what a JPEG leaves of a flat surface."""
DARKEST = 0.4
"""Lightness of shaded skin over the face's, the deepest shade that `perse.tracking.layered` reckons with: nearly black
cloth keeps any proportion."""
LEAST_CHROMA = 6.0
"""Median chroma of the face below which the picture is as good as grey, and proportions say nothing."""
EDGE = 12.0
"""Difference of colours (CIELAB) across `EDGE_WIDTHS` that is an edge: five just noticeable ones."""
EDGE_WIDTHS = 0.03
SMOOTHING_WIDTHS = 0.01
LEAST_SEEDS = 60
LIKE_SKIN = 0.18
"""Share of the hair that may keep the skin's proportions: fair and red hair does, and hangs where a chest would be.
Fair hair that was taken for a chest has .24, brown hair above one .15: a number between two pictures."""


def skin_below_throat(
    colors: Float32[np.ndarray, "h w 3"],
    present: HardMask,
    face_skin: HardMask,
    hair: HardMask,
    across: SoftMask,
    down: SoftMask,
    frame: FaceCoordinates,
) -> HardMask:
    """Mask [h, w] of pixels below the chin that are skin for certain; none where a collar closes the throat.

    Args:
        colors: [h, w, 3] CIELAB at half the picture's size, as everything here.
        present: [h, w], the person. face_skin, hair: [h, w], skin of the face and hair for certain.
        across, down: [h, w], places in face widths; frame: of the whole picture.
    """
    width = frame.width_px / 2
    nothing = np.zeros_like(present)
    if face_skin.sum() < LEAST_SEEDS or np.median(np.hypot(*colors[face_skin][:, 1:].T)) < LEAST_CHROMA:
        return nothing
    smooth = blur(colors, SMOOTHING_WIDTHS * width + 0.4)
    alike = _keeps_proportions(smooth, face_skin)
    if hair.any() and alike[hair].mean() > LIKE_SKIN:
        return nothing
    domain = present & (down > frame.chin) & alike & ~_edges(smooth, width)
    throat = domain & (np.abs(across) < 0.25) & (down < frame.chin + 0.25)
    return pieces_touching(domain, throat) if throat.any() else nothing


def _keeps_proportions(smooth: Floats, face_skin: HardMask) -> HardMask:
    """Where a* and b* stand to the lightness as in the face's skin [h, w]."""
    proportions = smooth[..., 1:] / (np.maximum(smooth[..., :1], 0) + np.float32(DARK_L))
    own = proportions[face_skin].astype(np.float64)
    precision = np.linalg.inv(np.cov(own.T) + NOISE**2 * np.eye(2))
    away = proportions - own.mean(0)
    light = smooth[..., 0] > DARKEST * np.median(smooth[face_skin][:, 0])
    return np.asarray((((away @ precision) * away).sum(-1) < WITHIN**2) & light)


def _edges(smooth: Floats, width_px: float) -> HardMask:
    """Where colours change within a short way [h, w]."""
    steps = [cv2.Sobel(smooth, cv2.CV_32F, *axis, ksize=3) / 8 for axis in ((1, 0), (0, 1))]
    slope = np.sqrt(sum((step * step).sum(-1) for step in steps))
    return np.asarray(slope * EDGE_WIDTHS * width_px > EDGE)
