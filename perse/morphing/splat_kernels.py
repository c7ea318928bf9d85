# mypy: ignore-errors
"""Forward splatting of vector fields, for numba. One thread: the pipeline runs one morpher a core."""

from __future__ import annotations

import math

import numpy as np

from perse.render.compiled import kernel


@kernel
def drop_vectors(field, presence, travelled, share, sign, sums):
    """Write every pixel's vector to where the pixel is after a part of its way, onto the four pixels around.

    Args:
        field: [h, w, 2] float32, pixels.
        presence: [h, w] float32, weight of each pixel.
        travelled: how much of its vector each pixel has moved, in [0, 1].
        share: weight of this field against the other end's.
        sign: of the vectors as they are added.
        sums: [h, w, 3] float32, added to: weighted vectors and weights.
    """
    height, width = presence.shape
    for y in range(height):
        for x in range(width):
            dx, dy = field[y, x, 0], field[y, x, 1]
            at_x, at_y = x + travelled * dx, y + travelled * dy
            left, top = math.floor(at_x), math.floor(at_y)
            right_share, bottom_share = at_x - left, at_y - top
            weight = share * presence[y, x]
            for corner in range(4):
                cx, cy = left + corner % 2, top + corner // 2
                if 0 <= cx < width and 0 <= cy < height:
                    along_x = right_share if corner % 2 else 1 - right_share
                    along_y = bottom_share if corner // 2 else 1 - bottom_share
                    part = np.float32(weight * along_x * along_y)
                    sums[cy, cx, 0] += part * np.float32(sign) * dx
                    sums[cy, cx, 1] += part * np.float32(sign) * dy
                    sums[cy, cx, 2] += part
