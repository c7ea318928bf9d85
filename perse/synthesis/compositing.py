"""Compositing of pictures and part masks, for every editor, whatever paints them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perse.attributes import Part
from perse.data import PartMasks
from perse.shapes import SoftMask


def put_part(masks: PartMasks, part: Part, alpha: SoftMask, replaced: Sequence[Part] = tuple(Part)) -> PartMasks:
    """Masks with a part laid over others: over a pixel they still sum to what they summed to.

    Args:
        alpha: [h, w] in 0..1, how much of the pixel becomes `part`.
        replaced: the parts that give way; the others stay as they are.
    """
    soft = masks.soft.astype(np.float32)
    gained = np.zeros_like(alpha)
    for other in replaced:
        if other != part:
            lost = soft[other] * alpha
            gained += lost
            soft[other] -= lost
    soft[part] += gained
    rounded = np.round(soft).clip(0, 255).astype(np.uint8)
    return PartMasks(rounded, 255 - rounded[Part.BACKGROUND])
