"""Schedule of the interpolations of a fine-tuning: a pure function of (seed, step, rank, world).

The future is known, so whoever makes the morphs can work ahead: the request of a step that is still to come may be
asked for, and is the same on every machine.

Subjects are drawn without replacement, pass after pass, and each brings a partner of its own category, so that every
subject is interpolated equally often, whatever the size of its category: the paper takes 40 pairs *a subject* (A.2.3).
Drawn over pairs instead, 395 hair styles would get 79 % of all steps and 59 earrings 1.7 %.

The subjects of a category are looked at in one frame of the motion at a time: each then is an end of about two pairs in
that frame, and a teacher that works an end out once (`perse.morphing.diffmorpher`) has half of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from numpy.typing import NDArray

from perse.attributes import Category
from perse.avatar import Subject

INTERIOR_ALPHAS = tuple(i / 6 for i in range(1, 6))
"""α = 1/6 … 5/6 (P 4.3). The ends are the pivots' own frames."""

PAIRS_PER_SUBJECT = 40
"""Of the paper (A.2.3); 38,600 pairs in all."""

_SUBJECTS, _PARTNERS, _FRAMES, _ALPHAS = 10, 11, 12, 13  # streams of random numbers, apart from the sampler's


@dataclass(frozen=True)
class MorphRequest:
    """One morph that supervises a step: the same frame of two subjects of one category, interpolated in 2D.

    Attributes:
        first, second: rows of the subjects table, first < second.
        category: what the two differ in.
        frame: position in the training clips; frame_number: position in the shared motion.
        alphas: where between the two, ascending, in (0, 1).
    """

    first: int
    second: int
    category: Category
    frame: int
    frame_number: int
    alphas: tuple[float, ...]


@dataclass(frozen=True)
class MorphTarget:
    """Target pictures for the interior of an interpolation.

    Attributes:
        alphas: where between the two ends each picture lies; a teacher that evens out its pace moves them.
        images: [m, h, w, 3] uint8 on white, at the clips' size.
        parts: [m, h, w] bool, where the changed part is in each picture (M_part of Eq. 39); None where only the ends'
            are known, and both together stand for it.
    """

    alphas: tuple[float, ...]
    images: UInt8[NDArray[np.uint8], "m h w 3"]
    parts: Bool[NDArray[np.bool_], "m h w"] | None = None


class MorphSource(Protocol):
    """Source that makes, fetches or waits for morphs."""

    def get(self, request: MorphRequest) -> MorphTarget:
        """The target of a request."""
        ...


def morph_pairs(subjects: Sequence[Subject]) -> list[tuple[int, int]]:
    """All pairs of rows that share a category."""
    return [
        (a, b)
        for a, b in combinations(range(len(subjects)), 2)
        if subjects[a].category is not None and subjects[a].category == subjects[b].category
    ]


class MorphSchedule:
    """Schedule of the morphs of a fine-tuning.

    Args:
        seed: the only source of randomness.
        subjects: the avatar's table.
        frame_numbers: [f] int32, positions of the training frames in the shared motion.
        n_alphas: of the five interior α, how many a request has.
        without: rows of subjects that take no part.

    Raises:
        ValueError: no two subjects share a category.
    """

    def __init__(
        self,
        seed: int,
        subjects: Sequence[Subject],
        frame_numbers: Int32[NDArray[np.int32], " f"],
        n_alphas: int,
        *,
        without: Sequence[int] = (),
    ) -> None:
        self._seed, self._subjects, self._frame_numbers, self._n_alphas = seed, subjects, frame_numbers, n_alphas
        categories = [None if row in without else subject.category for row, subject in enumerate(subjects)]
        self._partners = {
            row: [other for other, category in enumerate(categories) if category == own and other != row]
            for row, own in enumerate(categories)
            if own is not None
        }
        self._drawn = [row for row, partners in self._partners.items() if partners]
        if not self._drawn:
            raise ValueError("no category has two subjects: there is nothing to interpolate between")

    def request(self, step: int, *, rank: int = 0, world: int = 1) -> MorphRequest:
        """Request of a worker's step. Over all workers' steps in order, every subject comes once before any comes
        again."""
        number = step * world + rank
        visit, place = divmod(number, len(self._drawn))
        row = self._drawn[self._shuffled(_SUBJECTS, 0, visit, len(self._drawn))[place]]
        partners = self._partners[row]
        turn, place = divmod(visit, len(partners))
        partner = partners[self._shuffled(_PARTNERS, row, turn, len(partners))[place]]
        category = self._subjects[row].category
        assert category is not None, "only edited subjects are drawn"
        turn, place = divmod(visit, len(self._frame_numbers))
        frame = self._shuffled(_FRAMES, category.index, turn, len(self._frame_numbers))[place]
        chosen = sorted(self._shuffled(_ALPHAS, 0, number, len(INTERIOR_ALPHAS))[: self._n_alphas])
        return MorphRequest(
            min(row, partner), max(row, partner), category, frame, int(self._frame_numbers[frame]),
            tuple(INTERIOR_ALPHAS[i] for i in chosen),
        )  # fmt: skip

    def _shuffled(self, stream: int, owner: int, number: int, size: int) -> list[int]:
        return np.random.default_rng((self._seed, stream, owner, number)).permutation(size).tolist()
