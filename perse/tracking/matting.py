"""Soft edges for a binary mask: alpha by how far a pixel lies between the colours on either side."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32

from perse.shapes import HardMask, SoftMask
from perse.tracking.colors import blur

TRUSTED_CONTRAST = 25.0
"""Distance between foreground and background colour (CIELAB) at which the colour decides as much as the mask."""


def refine_alpha(lab: Float32[np.ndarray, "h w 3"], alpha: SoftMask, band_px: float) -> SoftMask:
    """Matte redrawn inside a band around its edge.

    Local foreground and background colours are averaged from either side of the band; a pixel's alpha is its
    position on the line between them (the compositing equation, least squares), trusted by their contrast.

    Args:
        lab: [h, w, 3] CIELAB.
        alpha: [h, w] in [0, 1].
        band_px: half-width of the band.
    """
    size = 2 * max(1, round(band_px)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    inner = cv2.erode((alpha > 0.5).astype(np.uint8), kernel) > 0
    outer = cv2.dilate((alpha > 0.5).astype(np.uint8), kernel) == 0
    front, back = spread_color(lab, inner, 1.5 * band_px), spread_color(lab, outer, 1.5 * band_px)
    difference = front - back
    contrast = (difference * difference).sum(-1)
    along = ((lab - back) * difference).sum(-1) / np.maximum(contrast, 1e-3)
    trust = contrast / (contrast + TRUSTED_CONTRAST**2)
    # A highlight in the hair may have the wall's colour: the mask is corrected, never overruled.
    measured = np.clip(along, np.maximum(alpha - 0.5, 0), np.minimum(alpha + 0.5, 1))
    mixed = trust * measured + (1 - trust) * alpha
    band = ~inner & ~outer
    return np.where(band, np.clip(mixed, 0, 1), alpha).astype(np.float32)


def spread_color(lab: Float32[np.ndarray, "h w 3"], region: HardMask, sigma: float) -> Float32[np.ndarray, "h w 3"]:
    """Colours of a region continued beyond it by normalised blurs, near pixels first."""
    weight = region.astype(np.float32)
    result = np.zeros_like(lab)
    missing = np.ones(region.shape, np.float32)
    for spread in (sigma, 3 * sigma, 12 * sigma):
        amount = blur(weight, spread)
        color = blur(lab * weight[..., None], spread) / np.maximum(amount, 1e-6)[..., None]
        share = missing * np.clip(amount / 0.05, 0, 1)
        result += color * share[..., None]
        missing -= share
    return result + missing[..., None] * lab
