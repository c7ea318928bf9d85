"""Connected pieces of a mask."""

from __future__ import annotations

import cv2
import numpy as np

from perse.shapes import HardMask


def pieces_touching(mask: HardMask, seeds: HardMask) -> HardMask:
    """Connected pieces of a mask [h, w] that hold any pixel of another [h, w]."""
    pieces = cv2.connectedComponents(mask.astype(np.uint8))[1]
    return np.isin(pieces, np.unique(pieces[mask & seeds]))
