"""Detail for hair that the photograph does not show, borrowed from the hair that it does.

Hair is unrolled along its strands: azimuth about the crown against the distance from it. There the seen hair fills a
range in every row. Its detail (colour relative to its surroundings) is continued by reflection at the ends of that
range. Reflecting detail over a wide range, with the broad colours continued otherwise, shows no kaleidoscope.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from perse.synthesis.procedural.animator.fill import blurred_within
from perse.synthesis.procedural.animator.surface import HeadSurface

Array = NDArray[np.float32]

_ACROSS, _ALONG = 768, 288
_NARROWEST = 60  # columns; a row that shows less hair has nothing worth repeating
_BROAD_PX = 16.0


@dataclass(frozen=True)
class StrandFrame:
    """Where every texel lies along the hair: columns [h, w] (azimuth, periodic) and rows [h, w] (from the crown)."""

    columns: Array
    rows: Array


def strand_frame(surface: HeadSurface) -> StrandFrame:
    """Coordinates about a crown at the upper back of the head. Column `_ACROSS / 2` is the front."""
    outer = surface.rest[surface.outer]
    middle = 0.5 * (outer.max(0) + outer[outer[:, 1] > np.median(outer[:, 1])].min(0))
    crown = np.array([0.0, 0.9, -0.44])
    side = np.array([1.0, 0.0, 0.0])
    front = np.cross(side, crown)
    direction = surface.on_texels((surface.rest - middle).astype(np.float32))
    direction /= np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-6)
    polar = np.arccos(np.clip(direction @ crown, -1, 1))
    azimuth = np.arctan2(direction @ side, direction @ front)
    wobble = 4 * np.sin(4 * polar + 2 * azimuth) + 2 * np.sin(9 * polar - 3 * azimuth)
    columns = (azimuth / (2 * np.pi) + 0.5) * _ACROSS + wobble * np.sin(polar)
    return StrandFrame((columns % _ACROSS).astype(np.float32), (polar / np.pi * (_ALONG - 1)).astype(np.float32))


def on_strands(frame: StrandFrame, unrolled: Array) -> Array:
    """Look an unrolled image [along, across] or [along, across, c] of any size up at every texel."""
    height, width = unrolled.shape[:2]
    padded = np.concatenate([unrolled, unrolled[:, :1]], 1)
    columns = frame.columns * np.float32(width / _ACROSS)
    return cv2.remap(padded, columns, frame.rows * np.float32((height - 1) / (_ALONG - 1)), cv2.INTER_LINEAR)


def borrowed_detail(frame: StrandFrame, photo: Array, hairy: Array) -> Array:
    """Relative detail for every texel, [h, w, 3], about zero.

    Args:
        photo: [h, w, 3] the projected photograph; hairy: [h, w] how surely it shows hair there.
    """
    color, weight = _unrolled(frame, photo, hairy)
    broad, _ = blurred_within(color, weight, _BROAD_PX)
    # Deep shadows, as in a parting, would be recognised in their reflection: keep to the middle of the range.
    detail = np.clip(color / np.maximum(broad, 8.0) - 1, -0.45, 0.6) * (weight > 0.3)[..., None]
    source, usable = _reflected(weight > 0.3)
    rows = np.arange(_ALONG, dtype=np.float32)[:, None] * np.ones((1, _ACROSS), np.float32)
    continued = cv2.remap(detail.astype(np.float32), source, rows, cv2.INTER_LINEAR) * usable[:, None, None]
    return on_strands(frame, continued.astype(np.float32))


def _unrolled(frame: StrandFrame, photo: Array, hairy: Array) -> tuple[Array, Array]:
    """Mean colour of the hair seen in every cell, small holes closed, and how well it is known."""
    chosen = hairy > 0.5
    cells = frame.rows[chosen].astype(np.int64) * _ACROSS + np.minimum(
        frame.columns[chosen].astype(np.int64), _ACROSS - 1
    )
    count = np.bincount(cells, minlength=_ALONG * _ACROSS).astype(np.float32).reshape(_ALONG, _ACROSS)
    sums = [np.bincount(cells, photo[chosen][:, k], _ALONG * _ACROSS).reshape(_ALONG, _ACROSS) for k in range(3)]
    color = (np.stack(sums, -1) / np.maximum(count, 1)[..., None]).astype(np.float32)
    known = (count > 0).astype(np.float32)
    closed, amount = blurred_within(color, known, 1.0)
    solid = np.clip(2.5 * amount, 0, 1)
    return np.where(known[..., None] > 0, color, closed), solid


def _reflected(known: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Source column of every cell (reflected into the seen range of its row) and whether a row can lend, [along]."""
    middle = _ACROSS // 2
    left, right = np.full(_ALONG, np.nan), np.full(_ALONG, np.nan)
    for row in range(_ALONG):
        columns = np.nonzero(known[row])[0]
        if len(columns) >= _NARROWEST:
            left[row], right[row] = np.quantile(columns, (0.03, 0.97)) - middle
    good = np.isfinite(left) & (right - left >= _NARROWEST)
    if good.sum() < 5:
        return np.zeros((_ALONG, _ACROSS), np.float32), np.zeros(_ALONG, np.float32)
    rows = np.arange(_ALONG)
    a = gaussian_filter1d(np.interp(rows, rows[good], left[good]), 4)[:, None]
    b = gaussian_filter1d(np.interp(rows, rows[good], right[good]), 4)[:, None]
    span = np.maximum(b - a, 1)
    relative = (np.arange(_ACROSS)[None] - middle - a) % (2 * span)
    source = a + np.where(relative > span, 2 * span - relative, relative) + middle
    usable = gaussian_filter1d(good.astype(np.float32), 3)
    return np.clip(source, 0, _ACROSS - 1).astype(np.float32), usable.astype(np.float32)
