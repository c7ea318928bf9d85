"""Path metrics PPL and PDV: how far, and how unevenly, an interpolation moves (P B.2). By LPIPS, or under other
names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from perse.shapes import Pictures


@dataclass(frozen=True)
class PathScores:
    """Path scores: means over interpolations.

    Attributes:
        total: sum of the distances between neighbours: PPL, where the distance is LPIPS.
        deviation: their standard deviation: PDV. The paper prints it times 100.
        paths: how many interpolations.
    """

    total: float
    deviation: float
    paths: int


def path_lengths(
    paths: Sequence[UInt8[np.ndarray, "steps h w 3"]], distance: Callable[[Pictures, Pictures], float]
) -> PathScores:
    """Scores of interpolations [steps, h, w, 3] under a distance of single pictures [1, h, w, 3].

    Raises:
        ValueError: no interpolation, or one without a step.
    """
    if not paths or min(len(path) for path in paths) < 2:
        raise ValueError("give at least one interpolation of two pictures or more")
    steps = [[distance(path[i : i + 1], path[i + 1 : i + 2]) for i in range(len(path) - 1)] for path in paths]
    return PathScores(
        float(np.mean([np.sum(one) for one in steps])), float(np.mean([np.std(one) for one in steps])), len(paths)
    )
