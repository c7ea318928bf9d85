"""Regions of an edit: the pixels that it may change, and those that it must leave alone."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from numpy.typing import NDArray

from perse.attributes import CATEGORY_PARTS, Category

BORDER_SHARE = 0.012
"""Around a part this much of the picture's width counts neither as changed nor as unchanged: soft edges, contact
shadows."""


def changed_part(
    category: Category, parts: UInt8[NDArray[np.uint8], "*f h w"], reference_parts: UInt8[NDArray[np.uint8], "*f h w"]
) -> Bool[NDArray[np.bool_], "*f h w"]:
    """Pixels [..., h, w] that show the category's parts in the subject's or in the reference's part maps."""
    labels = [int(part) for part in CATEGORY_PARTS[category]]
    return np.isin(parts, labels) | np.isin(reference_parts, labels)


def unchanged(changed: Iterable[Bool[NDArray[np.bool_], "f h w"]]) -> Bool[NDArray[np.bool_], "f h w"]:
    """Pixels [f, h, w] well outside all of the changed parts [f, h, w]."""
    union = np.logical_or.reduce(list(changed))
    radius = max(1, round(BORDER_SHARE * union.shape[-1]))
    brush = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    grown = [cv2.dilate(frame.astype(np.uint8), brush) for frame in union]
    return np.stack(grown) == 0
