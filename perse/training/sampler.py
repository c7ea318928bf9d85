"""Sampler of a training step: a pure function of the seed and the step's number.

No state, so a resumed run continues with the very frames the interrupted one would have seen, and every worker of a
distributed run knows its share without talking to the others.

Subjects and frames are drawn without replacement, in shuffled passes: each pass over the edited subjects visits every
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


@dataclass(frozen=True)
class ReferenceFrames:
    """Frames that the reference is trained on: of its clip, and of what a camera has recorded.

    Attributes:
        filmed: positions of frames of the clip.
        recorded: positions of recorded frames.
        weight: how often a recorded frame comes for each time that a filmed one does.
    """

    filmed: Sequence[int]
    recorded: Sequence[int] = ()
    weight: int = 1

    def __len__(self) -> int:
        """Number of frames in one pass, recorded ones counted as often as they come."""
        return len(self.filmed) + self.weight * len(self.recorded)

    def __getitem__(self, number: int) -> int:
        """Position of a frame of the pass."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        beyond = number - len(self.filmed)
        return self.filmed[number] if beyond < 0 else self.recorded[beyond % len(self.recorded)]


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
    reference: ReferenceFrames | None = None,
    rank: int = 0,
    world: int = 1,
) -> StepSample:
    """Sample of the reference and some edited subjects, one frame each.

    Args:
        seed, step: the only sources of randomness.
        pool: edited subjects to draw from.
        n_frames: frames in a clip.
        edits: edited subjects a step and worker; the reference comes on top.
        reference: the reference's frames; those of the clips if left out.
        rank, world: this worker and how many there are; workers get different subjects of the same pass.
    """
    own = ReferenceFrames(range(n_frames)) if reference is None else reference
    subjects, frames = [0], [own[_in_passes(seed, _REFERENCE_FRAMES, 0, step * world + rank, len(own))]]
    for place in range(edits if pool else 0):
        draw = (step * world + rank) * edits + place
        row = pool[_in_passes(seed, _SUBJECTS, 0, draw, len(pool))]
        if row not in subjects:  # a small pool may wrap around within a step
            subjects.append(row)
            frames.append(_in_passes(seed, _FRAMES, row, draw // len(pool), n_frames))
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


def _in_passes(seed: int, stream: int, owner: int, draw: int, size: int) -> int:
    """Result of a draw from `size` numbers without replacement, in one shuffled pass after the other."""
    number, place = divmod(draw, size)
    return int(np.random.default_rng((seed, stream, owner, number)).permutation(size)[place])
