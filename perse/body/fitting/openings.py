"""Openings and prints in the front of a garment, which its back does not have: an open jacket, a tie below a suit."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.fitting.fill import LEAST, lab_of

STEP_M, REACH_M = 0.02, 0.03
"""Heights at which a front is looked at, and how far above and below."""
MIDDLE_M, COLUMN_M = 0.03, 0.012
"""Half the width of the middle, and of the columns beside it."""
FLANK_M, WIDEST_M = (0.10, 0.15), 0.09
"""Where the garment itself is seen, and half the width of the widest opening."""
OTHER = 20.0
"""Distance in Lab, lightness halved, from which on a colour is another cloth's: shade and folds of one had up to 15."""
MARGIN_M = 0.012
"""So far beside an opening its edge is not the back's either."""
FEWEST = 6
NEIGHBOURS = 8


def without_openings(
    rest: Float[Tensor, "n 3"],
    colors: Float[Tensor, "n 3"],
    fill: Float[Tensor, "n 3"],
    front: Bool[Tensor, " n"],
    back: Bool[Tensor, " n"],
) -> Float[Tensor, "n 3"]:
    """Fill [n, 3] whose back goes on from flank to flank where the front's middle differs from both.

    Args:
        rest: metres, x across the person from the middle, y up.
        colors: in [0, 1], the photograph's; fill: what is taken through the body.
        front: points of the garment's trunk that the photograph shows well; back: those behind.
    """
    if int(front.sum()) < LEAST or int(back.sum()) < LEAST:
        return fill
    levels = torch.arange(float(rest[front, 1].min()), float(rest[front, 1].max()), STEP_M)
    shown, lab = rest[front], lab_of(colors[front])
    widths = torch.tensor([_half_width(shown, lab, float(level)) for level in levels])
    widths = _lasting(widths)
    at = (rest[:, 1] - levels[0]).div(STEP_M).round().long().clamp(0, len(levels) - 1)
    half = widths[at] + MARGIN_M
    inside = back & (widths[at] > 0) & (rest[:, 0].abs() < half)
    beside = back & ~inside
    if int(beside.sum()) < LEAST or not bool(inside.any()):
        return fill
    places, mended = cKDTree(rest[beside, :2].numpy()), fill.clone()
    sides = []
    for side in (-1.0, 1.0):
        asked = torch.stack([side * half[inside], rest[inside, 1]], 1)
        _, nearest = places.query(asked.numpy(), k=NEIGHBOURS)
        sides.append(fill[beside][torch.from_numpy(nearest)].mean(1))
    share = ((rest[inside, 0] / half[inside] + 1) / 2)[:, None]
    mended[inside] = sides[0].lerp(sides[1], share)
    return mended


def _lasting(widths: Tensor) -> Tensor:
    """Half widths [l] that neighbouring levels confirm: an opening that a hand hides at one height is there, and where
    a stripe ends, middle and flanks may be told apart at one height."""
    of_five = torch.nn.functional.pad(widths, (2, 2)).unfold(0, 5, 1).median(1).values
    return torch.nn.functional.max_pool1d(of_five[None, None], 5, 1, 2)[0, 0]


def _half_width(rest: Tensor, lab: Tensor, level: float) -> float:
    """Metres from the middle to where the garment begins at this height; 0 where its middle is like its flanks."""
    near, across = (rest[:, 1] - level).abs() < REACH_M, rest[:, 0]
    flanks = []
    for side in (-1, 1):
        flank = near & (side * across > FLANK_M[0]) & (side * across < FLANK_M[1])
        if int(flank.sum()) < FEWEST:
            return 0.0
        flanks.append(lab[flank].median(0).values)

    def other(column: Tensor) -> bool:
        if int(column.sum()) < FEWEST:
            return False
        scale = torch.tensor([0.5, 1.0, 1.0])
        return all(float(((lab[column].median(0).values - flank) * scale).norm()) > OTHER for flank in flanks)

    if not other(near & (across.abs() < MIDDLE_M)):
        return 0.0
    ways = torch.arange(MIDDLE_M, WIDEST_M, COLUMN_M)
    seen = [float(x) for x in ways for side in (-1, 1) if other(near & ((side * across - x).abs() < COLUMN_M))]
    return max(seen, default=MIDDLE_M)
