"""Evenness of an avatar's way between two subjects (P B.2: PPL and PDV)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Subject, interpolate
from perse.data import PortraitClip
from perse.evaluation.pictures import absolute_difference
from perse.evaluation.regions import changed_part
from perse.evaluation.viewing import Viewer

PerceptualDistance = Callable[[Float[Tensor, "n h w 3"], Float[Tensor, "n h w 3"]], Float[Tensor, " n"]]
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


class MorphTeacher(Protocol):
    """Target pictures between two subjects."""

    def between(
        self, first: PortraitClip, second: PortraitClip, category: Category, alphas: Sequence[float]
    ) -> UInt8[NDArray[np.uint8], "a h w 3"]:
        """Pictures [a, h, w, 3] on white between two clips of one frame each, in the same pose."""
        ...


def distances_from_morphs(
    viewer: Viewer,
    clips: Sequence[PortraitClip],
    frames: Sequence[int],
    pair: tuple[int, int],
    teacher: MorphTeacher,
) -> list[float]:
    """Mean absolute difference of interior pictures from the teacher's, inside the changed part; one for each pose.

    Args:
        viewer: shows `frames` of the clips, in that order.
        clips: of the subjects; pair: their rows.
    """
    alphas = [i / 6 for i in range(1, 6)]  # P 4.3
    a, b = pair
    category = viewer.avatar.subjects[a].category
    assert category is not None, "the reference is no end of a pair"
    codes = viewer.avatar.subject_codes(torch.tensor([a, b], device=viewer.avatar.device)).detach()
    errors = []
    for path, frame in zip(paths(viewer, codes[0], codes[1], alphas), frames, strict=True):
        first, second = (clips[row].frame(frame) for row in (a, b))
        morphs = torch.from_numpy(teacher.between(first, second, category, alphas)).float() / 255
        changed = changed_part(category, first.parts[:], second.parts[:])
        errors.append(absolute_difference(path, morphs, np.broadcast_to(changed, path.shape[:3]).copy()))
    return errors


def paths(
    viewer: Viewer, start: Float[Tensor, "k d"], end: Float[Tensor, "k d"], alphas: Sequence[float]
) -> list[Float[Tensor, "a h w 3"]]:
    """Pictures [a, h, w, 3] along an interpolation of codes [k, d], for each of the viewer's frames."""
    views = torch.stack([viewer.pictures(interpolate(start, end, alpha)) for alpha in alphas])
    return list(views.unbind(1))


def path_scores(path: Float[Tensor, "steps h w 3"], distance: PerceptualDistance) -> tuple[float, float]:
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
