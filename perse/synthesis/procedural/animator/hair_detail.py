"""Detail for hair that the photograph does not show, made by example from the hair that it does.

Hair is unrolled along its strands: azimuth about the crown against the distance from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.synthesis.procedural.animator.by_example import Example, detail_like
from perse.synthesis.procedural.animator.surface import HeadSurface

Array = NDArray[np.float32]

_ACROSS, _ALONG = 768, 288


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


def borrowed_detail(frame: StrandFrame, example: Example, seed: int) -> Array:
    """Relative detail for every texel, [h, w], about zero."""
    return on_strands(frame, detail_like(example, _ALONG, _ACROSS, seed))
