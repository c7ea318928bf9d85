"""Membership of pixels between two pictures, where the two disagree about what a pixel shows.

After warping, most pixels are the same in both: both part, or both not. Where outlines have no counterpart (a brim that
a beanie lacks) one picture shows the part and the other does not. Blending them would show a ghost of the part. So the
part grows there instead: outwards from what both have in common, by equal areas in equal times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
    return Meeting(first, second).at(t, firm)


@dataclass(frozen=True)
class Meeting:
    """Pair of masks on the same pixels; what does not depend on the position between them is computed once."""

    first: Mask
    second: Mask

    def at(self, t: float, firm: float) -> Mask:
        """Membership at a position; see `membership`."""
        fade = (1 - t) * self.first + t * self.second
        if firm <= 0 or self._distance is None:
            return np.asarray(fade, np.float32)
        leaving, coming = self._alone
        grown = self._common + leaving * self._reached(0, 1 - t) + coming * self._reached(1, t)
        return np.asarray(firm * grown + (1 - firm) * fade, np.float32)

    @cached_property
    def _common(self) -> Mask:
        return np.minimum(self.first, self.second)

    @cached_property
    def _alone(self) -> tuple[Mask, Mask]:
        """What either has and the other has not."""
        return self.first - self._common, self.second - self._common

    @cached_property
    def _distance(self) -> Float32[np.ndarray, "h w"] | None:
        """Pixels to what both have; None where they have nothing in common."""
        core = self._common > 0.5
        return cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3) if core.any() else None

    @cached_property
    def _distances(self) -> tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, " m"]]:
        """Of the pixels that only one has."""
        assert self._distance is not None, "asked for first"
        leaving, coming = self._alone
        return self._distance[leaving > 0.5], self._distance[coming > 0.5]

    def _reached(self, end: int, share: float) -> Mask:
        """That part of what only one has, nearest to the core, which holds a share of its area; soft over a pixel."""
        assert self._distance is not None, "asked for first"
        inside = self._distances[end]
        if not inside.size:  # an anti-aliased rim and no more
            return np.full_like(self._distance, share)
        return np.asarray(np.clip(np.quantile(inside, share) - self._distance + 0.5, 0, 1), np.float32)
