"""Window in which two pictures differ: an edit changes a small part, and only there is anything to be morphed."""

from __future__ import annotations

import numpy as np

from perse.shapes import HardMask

Window = tuple[slice, slice]
"""Rows and columns."""


def window_of(mask: HardMask, beside_px: int) -> Window | None:
    """The smallest window around a mask [h, w], wider by some pixels on every side; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    top, bottom = max(int(rows[0]) - beside_px, 0), min(int(rows[-1]) + 1 + beside_px, mask.shape[0])
    left, right = max(int(columns[0]) - beside_px, 0), min(int(columns[-1]) + 1 + beside_px, mask.shape[1])
    return slice(top, bottom), slice(left, right)
