"""Islands: small pieces of one kind inside another, which no person wears."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, Int32, Int64

from perse.shapes import HardMask
from perse.tracking.kinds import PixelKind

LARGEST = 0.03
"""Area of an island, squared face widths."""
ENCLOSED = 0.7
"""Share of its border along which one other kind must lie."""
GIVEN = {
    PixelKind.CLOTHES: (PixelKind.SKIN, PixelKind.HAIR, PixelKind.HEADWEAR),
    PixelKind.SKIN: (PixelKind.CLOTHES,),
    PixelKind.HAIR: (PixelKind.CLOTHES, PixelKind.SKIN),
}
"""What becomes of islands. Skin among hair is an ear or a shoulder, and a strand on skin is a strand: they stay."""
WHOLLY, SPOT = 0.98, 3.0
"""Hair on skin is a spot of light or shadow when this share of its border is skin and its area is less than this many
discs that fit inside: a strand is longer than it is wide, and a fringe hangs together with other hair."""


def without_islands(shares: Float32[np.ndarray, "k h w"], width_px: float) -> Float32[np.ndarray, "k h w"]:
    """Shares [k, h, w] of each `PixelKind` with islands given to what surrounds them; the same array without any.

    Args:
        width_px: of the face.
    """
    kinds = shares.argmax(0)
    result = shares
    for own, others in GIVEN.items():
        count, pieces, stats, _ = cv2.connectedComponentsWithStats((kinds == own).astype(np.uint8))
        small = stats[:, cv2.CC_STAT_AREA] < LARGEST * width_px**2
        small[0] = False
        if not small.any():
            continue
        borders = _borders(pieces, kinds, count)
        for piece in np.nonzero(small)[0]:
            other = int(borders[piece].argmax())
            strand = (own, other) == (PixelKind.HAIR, PixelKind.SKIN)  # or a spot
            share = WHOLLY if strand else ENCLOSED
            if other not in others or borders[piece, other] <= share * borders[piece].sum():
                continue
            if strand and not _is_spot(pieces == piece):
                continue
            around = cv2.dilate((pieces == piece).astype(np.float32), np.ones((5, 5), np.float32))
            moved = around * result[own]
            result = result.copy() if result is shares else result
            result[other] += moved
            result[own] -= moved
    return result


def _is_spot(piece: HardMask) -> bool:
    """Whether a piece [h, w] is about as wide as it is long."""
    radius = float(cv2.distanceTransform(piece.astype(np.uint8), cv2.DIST_L2, 5).max())
    return int(piece.sum()) < SPOT * np.pi * radius**2


def _borders(pieces: Int32[np.ndarray, "h w"], kinds: Int64[np.ndarray, "h w"], count: int) -> Int64[np.ndarray, "p k"]:
    """How many neighbours of each kind each piece has [count, k]; pixels of the picture's edge have none there."""
    found = np.zeros((count, len(PixelKind)), np.int64)
    for axis in (0, 1):
        for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[1:], np.s_[:-1])):
            one, two = (here, there) if axis == 0 else ((np.s_[:], here), (np.s_[:], there))
            edge = (pieces[one] != pieces[two]) & (pieces[one] > 0)
            np.add.at(found, (pieces[one][edge], kinds[two][edge]), 1)
    return found
