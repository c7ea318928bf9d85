"""Coordinates along the hair of the head: azimuth about the crown, and the distance from it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

ACROSS, ALONG = 768, 288


@dataclass(frozen=True)
class StrandFrame:
    """Coordinates of texels along the hair: columns [h, w] (azimuth, periodic), rows [h, w] (from the crown)."""

    columns: Float32[NDArray[np.float32], "h w"]
    rows: Float32[NDArray[np.float32], "h w"]


def middle_of_head(outer: Float32[NDArray[np.float32], "n 3"]) -> Float32[NDArray[np.float32], "3"]:
    """The point [3] about which hair is unrolled, of the outer skin's rest vertices [n, 3]."""
    return np.asarray(0.5 * (outer.max(0) + outer[outer[:, 1] > np.median(outer[:, 1])].min(0)), np.float32)


def strand_frame(from_middle: Float32[NDArray[np.float32], "h w 3"]) -> StrandFrame:
    """Coordinates about a crown at the upper back of the head. Column `ACROSS / 2` is the front.

    Args:
        from_middle: [h, w, 3] every texel's place from the head's middle, rest pose.
    """
    crown = np.array([0.0, 0.9, -0.44])
    side = np.array([1.0, 0.0, 0.0])
    front = np.cross(side, crown)
    direction = from_middle / np.maximum(np.linalg.norm(from_middle, axis=-1, keepdims=True), 1e-6)
    polar = np.arccos(np.clip(direction @ crown, -1, 1))
    azimuth = np.arctan2(direction @ side, direction @ front)
    wobble = 4 * np.sin(4 * polar + 2 * azimuth) + 2 * np.sin(9 * polar - 3 * azimuth)
    columns = (azimuth / (2 * np.pi) + 0.5) * ACROSS + wobble * np.sin(polar)
    return StrandFrame((columns % ACROSS).astype(np.float32), (polar / np.pi * (ALONG - 1)).astype(np.float32))


def on_strands(
    frame: StrandFrame, unrolled: Float32[NDArray[np.float32], "along across *c"]
) -> Float32[NDArray[np.float32], "h w *c"]:
    """Values at every texel of an unrolled image [along, across] or [along, across, c] of any size."""
    height, width = unrolled.shape[:2]
    padded = np.concatenate([unrolled, unrolled[:, :1]], 1)
    columns = frame.columns * np.float32(width / ACROSS)
    return cv2.remap(padded, columns, frame.rows * np.float32((height - 1) / (ALONG - 1)), cv2.INTER_LINEAR)
