"""Steps that every z-buffer takes with a triangle: its box of pixels, and where inside it a pixel lies.

Corners are (x, y, depth): pixels, with centres at half-integers, and metres.
"""

from __future__ import annotations

import numpy as np

from perse.render.compiled import kernel_part

NEAR_M = 1e-3
"""A triangle with a corner nearer than this is dropped."""


@kernel_part
def signed_area(vertices, a, b, c):  # type: ignore[no-untyped-def]
    """Twice the area, pixels²; zero for a triangle that cannot be drawn.

    y points down, so a counter-clockwise triangle seen from outside has a negative area.
    """
    x0, y0 = vertices[a, 0], vertices[a, 1]
    area = (vertices[b, 0] - x0) * (vertices[c, 1] - y0) - (vertices[c, 0] - x0) * (vertices[b, 1] - y0)
    behind = vertices[a, 2] <= NEAR_M or vertices[b, 2] <= NEAR_M or vertices[c, 2] <= NEAR_M
    return np.float32(0.0) if behind or not np.isfinite(area) else area


@kernel_part
def pixel_box(vertices, a, b, c, width, height):  # type: ignore[no-untyped-def]
    """First and last column, first and last row whose centres may lie inside; empty if first > last."""
    x0, x1, x2 = vertices[a, 0], vertices[b, 0], vertices[c, 0]
    y0, y1, y2 = vertices[a, 1], vertices[b, 1], vertices[c, 1]
    left = max(int(np.ceil(min(x0, x1, x2) - 0.5)), 0)
    right = min(int(np.floor(max(x0, x1, x2) - 0.5)), width - 1)
    top = max(int(np.ceil(min(y0, y1, y2) - 0.5)), 0)
    bottom = min(int(np.floor(max(y0, y1, y2) - 0.5)), height - 1)
    return left, right, top, bottom


@kernel_part
def at_pixel(vertices, a, b, c, inverse_area, x, y):  # type: ignore[no-untyped-def]
    """Depth and the corners' perspective-correct weights at the centre of a pixel; depth is negative outside."""
    x0, y0, x1, y1, x2, y2 = (
        vertices[a, 0], vertices[a, 1], vertices[b, 0], vertices[b, 1], vertices[c, 0], vertices[c, 1]
    )  # fmt: skip
    px, py = x + 0.5, y + 0.5
    w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * inverse_area
    w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * inverse_area
    w2 = 1.0 - w0 - w1
    if w0 < 0 or w1 < 0 or w2 < 0:
        return -1.0, 0.0, 0.0, 0.0
    q0, q1, q2 = w0 / vertices[a, 2], w1 / vertices[b, 2], w2 / vertices[c, 2]
    z = 1.0 / (q0 + q1 + q2)
    return z, q0 * z, q1 * z, q2 * z
