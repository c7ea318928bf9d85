"""Correspondence of the lips' landmarks on a drawn head with an open mouth: the inner contour is the opening's edge.

On photographs the face mesh network puts the inner contour where the red of the lips ends. On the drawn head it stays
up to 3 mm outside of that edge, which then keeps every fitted mouth 3 mm open. The drawing itself knows the edge.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.errors import HeadModelError
from perse.shapes import SoftMask

Floats = NDArray[np.float32]

UPPER_COLUMNS = (
    (185, 184, 183, 191), (40, 74, 42, 80), (39, 73, 41, 81), (37, 72, 38, 82), (0, 11, 12, 13),
    (267, 302, 268, 312), (269, 303, 271, 311), (270, 304, 272, 310), (409, 408, 407, 415),
)  # fmt: skip
LOWER_COLUMNS = (
    (146, 77, 96, 95), (91, 90, 89, 88), (181, 180, 179, 178), (84, 85, 86, 87), (17, 16, 15, 14),
    (314, 315, 316, 317), (405, 404, 403, 402), (321, 320, 319, 318), (375, 307, 325, 324),
)  # fmt: skip
"""The rows of landmarks on each lip, from its outer contour to the opening, column by column."""


STEP_M = 0.002
"""From one pixel to the next, the surface goes back by this much at the edge of the opening and nowhere else."""


def bring_to_edges(
    points: Float32[np.ndarray, "n d"], depth: SoftMask, pixels_per_point: int, margin: float = 1.0
) -> Float32[np.ndarray, "n d"]:
    """Landmarks [478, 2] whose inner lips lie on the edge of the mouth's opening; the rows between follow in
    proportion.

    Args:
        points: detected on the drawing of an open mouth, in its pixels.
        depth: [h, w] of the same drawing, metres, finer by `pixels_per_point`.
        margin: pixels of the depths kept between edge and landmark, so that it stays on the lip.

    Raises:
        HeadModelError: the drawn mouth is closed where a landmark lies.
    """
    moved = points.copy()
    for columns, direction in ((UPPER_COLUMNS, 1), (LOWER_COLUMNS, -1)):
        for column in columns:
            outer, inner, following = points[column[0]], points[column[-1]], list(column[1:])
            edge = (
                _edge(depth, inner[0] * pixels_per_point, outer[1] * pixels_per_point, direction) - direction * margin
            )
            stretch = (edge / pixels_per_point - outer[1]) / (inner[1] - outer[1])
            moved[following, 1] = outer[1] + (points[following, 1] - outer[1]) * stretch
    return moved


def _edge(depth: Floats, x: float, y: float, direction: int) -> float:
    """The row at which a column of depths [h, w] first goes back by a step, seen from row y downwards (1) or upwards
    (-1)."""
    rows = np.arange(int(y), int(y) + direction * depth.shape[0] // 8, direction)
    steps = np.diff(depth[rows, int(x)])
    if not (steps > STEP_M).any():
        raise HeadModelError("the drawn mouth is closed where a landmark lies: correspondence cannot be made")
    return float(rows[int(np.argmax(steps > STEP_M))] + (direction > 0))
