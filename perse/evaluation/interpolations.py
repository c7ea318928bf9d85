"""How evenly an avatar changes between two subjects (P B.2: PPL and PDV)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from perse.avatar import Subject, interpolate
from perse.evaluation.report import InterpolationScores
from perse.evaluation.viewing import Viewer

PerceptualDistance = Callable[[Tensor, Tensor], Tensor]
"""Distances [b] between pictures [b, h, w, 3] and [b, h, w, 3]."""


def interpolation_pairs(subjects: Sequence[Subject], per_category: int, seed: int) -> list[tuple[int, int]]:
    """Pairs of rows of the subjects table that share a category; at most so many of each, chosen by the seed."""
    chosen: list[tuple[int, int]] = []
    rng = np.random.default_rng(seed)
    for category in sorted({s.category for s in subjects if s.category is not None}):
        rows = [row for row, subject in enumerate(subjects) if subject.category == category]
        pairs = list(combinations(rows, 2))
        order = rng.permutation(len(pairs))[:per_category]
        chosen += [pairs[i] for i in sorted(order)]
    return chosen


def interpolation_scores(
    viewer: Viewer, pairs: Sequence[tuple[int, int]], steps: int, distance: PerceptualDistance, metric: str
) -> InterpolationScores | None:
    """Measure all pairs at all of the viewer's frames; None without pairs."""
    totals: list[float] = []
    deviations: list[float] = []
    codes = viewer.avatar.subject_codes().detach()
    for a, b in pairs:
        alphas = torch.linspace(0, 1, steps)
        views = torch.stack([viewer.pictures(interpolate(codes[a], codes[b], alpha)) for alpha in alphas])
        for path in views.unbind(1):  # [steps, h, w, 3], one path for each pose
            total, deviation = path_scores(path, distance)
            if np.isfinite(total):
                totals.append(total)
                deviations.append(deviation)
    if not totals:
        return None
    return InterpolationScores(metric, len(totals), steps, float(np.mean(totals)), float(np.mean(deviations)))


def path_scores(path: Tensor, distance: PerceptualDistance) -> tuple[float, float]:
    """Sum and standard deviation of the distances between neighbours, divided by the distance of the ends.

    Args:
        path: [steps, h, w, 3].

    Returns:
        nan where the ends are equal: nothing changes there, and nothing can be said about how.
    """
    ends = float(distance(path[:1], path[-1:]))
    neighbours = distance(path[:-1], path[1:]).double()
    if ends < 1e-6:
        return float("nan"), float("nan")
    return float(neighbours.sum()) / ends, float(neighbours.std(unbiased=False)) / ends
