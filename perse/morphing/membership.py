"""What a pixel between two pictures shows, where the two disagree about it.

After warping, most pixels are the same in both: both part, or both not. Where outlines have no counterpart (a brim that
a beanie lacks) one picture shows the part and the other does not. Blending them would show a ghost of the part. So the
part grows there instead: outwards from what both have in common, by equal areas in equal times.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

Mask = Float[np.ndarray, "h w"]
"""A soft mask in [0, 1]."""


_FIRM_SHARE = 0.25


def firmness(first: Bool[np.ndarray, "h w"], second: Bool[np.ndarray, "h w"]) -> float:
    """Whether one shape can grow into the other: 1 where a quarter of the smaller is shared, 0 where nothing is."""
    smaller = min(int(first.sum()), int(second.sum()))
    return float(min(1.0, int((first & second).sum()) / (_FIRM_SHARE * smaller))) if smaller else 0.0


def membership(first: Mask, second: Mask, t: float, firm: float) -> Mask:
    """The mask at position t in (0, 1) between two masks that lie on the same pixels.

    Args:
        firm: 1 grows and shrinks; 0 fades (`firmness`).
    """
    fade = (1 - t) * first + t * second
    common = np.minimum(first, second)
    core = common > 0.5
    if firm <= 0 or not core.any():
        return np.asarray(fade, np.float32)
    distance = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3)
    leaving, coming = first - common, second - common
    grown = common + leaving * _reached(distance, leaving, 1 - t) + coming * _reached(distance, coming, t)
    return np.asarray(firm * grown + (1 - firm) * fade, np.float32)


def _reached(distance: Float32[np.ndarray, "h w"], region: Mask, share: float) -> Mask:
    """The part of a region, nearest to the core first, that holds a share of its area; soft over a pixel."""
    inside = distance[region > 0.5]
    if not inside.size:  # an anti-aliased rim and no more
        return np.full_like(distance, share)
    return np.asarray(np.clip(np.quantile(inside, share) - distance + 0.5, 0, 1), np.float32)
