"""Sampler of a training step: a pure function of the seed and the step's number.

No state, so a resumed run continues with the very frames the interrupted one would have seen, and every worker of a
distributed run knows its share without talking to the others.

Subjects and frames are dealt like cards, not drawn with replacement: each pass over the edited subjects visits every
one once, and a subject's visits go through its frames in a shuffled order before any frame comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perse.attributes import Category

_SUBJECTS, _FRAMES, _REFERENCE_FRAMES = 0, 1, 2  # streams of random numbers that must not meet


@dataclass(frozen=True)
class StepSample:
    """Frames of one step.

    Attributes:
        subjects: distinct rows of the subjects table, the reference (0) first.
        of_frame: for each frame, the position of its subject in `subjects`.
        frames: for each frame, its position in the clips.
    """

    subjects: tuple[int, ...]
    of_frame: tuple[int, ...]
    frames: tuple[int, ...]

    @property
    def subject_of_frame(self) -> tuple[int, ...]:
        """Row in the subjects table of each frame."""
        return tuple(self.subjects[i] for i in self.of_frame)


def joined(samples: Sequence[StepSample]) -> StepSample:
    """Sample with the frames of several, in order: what one worker would have to look at instead of many."""
    subjects: list[int] = []
    for sample in samples:
        subjects += [s for s in sample.subjects if s not in subjects]
    rows = [s for sample in samples for s in sample.subject_of_frame]
    frames = [f for sample in samples for f in sample.frames]
    return StepSample(tuple(subjects), tuple(subjects.index(s) for s in rows), tuple(frames))


def sample_step(
    seed: int,
    step: int,
    pool: Sequence[int],
    n_frames: int,
    edits: int,
    *,
    reference: Sequence[int] | None = None,
    rank: int = 0,
    world: int = 1,
) -> StepSample:
    """Sample of the reference and some edited subjects, one frame each.

    Args:
        seed, step: the only sources of randomness.
        pool: edited subjects to deal from.
        n_frames: frames in a clip.
        edits: edited subjects a step and worker; the reference comes on top.
        reference: positions of the reference's frames; those of the clips if left out.
        rank, world: this worker and how many there are; workers get different cards of the same deal.
    """
    own = range(n_frames) if reference is None else reference
    subjects, frames = [0], [own[_card(seed, _REFERENCE_FRAMES, 0, step * world + rank, len(own))]]
    for place in range(edits if pool else 0):
        dealt = (step * world + rank) * edits + place
        row = pool[_card(seed, _SUBJECTS, 0, dealt, len(pool))]
        if row not in subjects:  # a small pool may wrap around within a step
            subjects.append(row)
            frames.append(_card(seed, _FRAMES, row, dealt // len(pool), n_frames))
    return StepSample(tuple(subjects), tuple(range(len(subjects))), tuple(frames))


def curriculum_pool(
    categories: Sequence[Category | None], stages: Sequence[tuple[float, Sequence[Category]]], progress: float
) -> list[int]:
    """Edited subjects that take part at some progress of the training.

    Args:
        categories: of the rows of the subjects table; None for the reference.
        stages: (progress in [0, 1] at which they join, categories). No stages: all from the beginning.
    """
    if not stages:
        return [row for row, category in enumerate(categories) if category is not None]
    joined_in = {category for begin, members in stages if progress >= begin for category in members}
    return [row for row, category in enumerate(categories) if category in joined_in]


def _card(seed: int, stream: int, owner: int, position: int, size: int) -> int:
    """Card number `position` of an endless deal of shuffled decks of `size` cards."""
    deck, place = divmod(position, size)
    return int(np.random.default_rng((seed, stream, owner, deck)).permutation(size)[place])
