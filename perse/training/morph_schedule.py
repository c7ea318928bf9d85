"""Which interpolations fine-tuning looks at: a pure function of the seed and the step's number.

The future is known, so whoever makes the morphs can work ahead: `morph_request(seed, step, ...)` may be asked for
steps that are still to come, and answers the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perse.attributes import Category
from perse.avatar import Subject

INTERIOR_ALPHAS = tuple(i / 6 for i in range(1, 6))
"""α = 1/6 … 5/6 (P 4.3). The ends are the pivots' own frames."""

_PAIRS, _FRAMES, _ALPHAS = 10, 11, 12  # streams of random numbers, apart from the sampler's


@dataclass(frozen=True)
class MorphRequest:
    """One morph that supervises a step: the same frame of two subjects of one category, interpolated in 2D.

    Attributes:
        first, second: rows of the subjects table, first < second.
        first_key, second_key: their keys.
        category: what the two differ in.
        frame: position in the training clips; frame_number: position in the shared motion.
        alphas: where between the two, ascending, in (0, 1).
    """

    first: int
    second: int
    first_key: str
    second_key: str
    category: Category
    frame: int
    frame_number: int
    alphas: tuple[float, ...]


class MorphSource(Protocol):
    """Makes, fetches or waits for morphs."""

    def get(self, requests: Sequence[MorphRequest]) -> list[NDArray[np.uint8]]:
        """Pictures [len(alphas), h, w, 3] uint8 on white for each request, at the clips' size."""
        ...


def morph_pairs(subjects: Sequence[Subject]) -> list[tuple[int, int]]:
    """All pairs of rows that share a category."""
    return [
        (a, b)
        for a, b in combinations(range(len(subjects)), 2)
        if subjects[a].category is not None and subjects[a].category == subjects[b].category
    ]


def morph_request(
    seed: int, step: int, subjects: Sequence[Subject], frame_numbers: NDArray[np.int32], n_alphas: int
) -> MorphRequest:
    """The morph of a step. Pairs are dealt like cards: every pair comes once before any comes again.

    Raises:
        ValueError: no two subjects share a category.
    """
    pairs = morph_pairs(subjects)
    if not pairs:
        raise ValueError("no category has two subjects: there is nothing to interpolate between")
    deck, place = divmod(step, len(pairs))
    first, second = pairs[int(_shuffled(seed, _PAIRS, deck, len(pairs))[place])]
    visits, turn = divmod(deck, len(frame_numbers))
    pair_stream = _FRAMES + 100 * (first * len(subjects) + second)
    frame = int(_shuffled(seed, pair_stream, visits, len(frame_numbers))[turn])
    chosen = sorted(_shuffled(seed, _ALPHAS, step, len(INTERIOR_ALPHAS))[:n_alphas])
    category = subjects[first].category
    assert category is not None
    return MorphRequest(
        first, second, subjects[first].key, subjects[second].key, category, frame, int(frame_numbers[frame]),
        tuple(INTERIOR_ALPHAS[i] for i in chosen),
    )  # fmt: skip


def _shuffled(seed: int, stream: int, deck: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, stream, deck)).permutation(size)
