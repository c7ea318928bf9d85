"""Sampler of the frames that a step looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BodySample:
    """Frames of one step on one worker.

    Attributes:
        captured: whether the captured frame is looked at.
        generated: number of the generated frame, or None.
    """

    captured: bool
    generated: int | None


def sample_frames(
    seed: int, step: int, n_generated: int, *, balanced: bool, rank: int = 0, world: int = 1
) -> BodySample:
    """Frames of a step, from its number alone.

    Balanced: the captured frame and one generated frame, one to one. Otherwise each step looks at two frames of all,
    of which the captured one is one.
    """
    place = step * world + rank
    if balanced:
        epoch, index = divmod(place, n_generated)
        order = np.random.default_rng((seed, epoch)).permutation(n_generated)
        return BodySample(True, int(order[index]))
    epoch, index = divmod(place, n_generated + 1)
    order = np.random.default_rng((seed, epoch)).permutation(n_generated + 1)
    chosen = int(order[index])
    return BodySample(True, None) if chosen == n_generated else BodySample(False, chosen)


def training_steps(epochs: int, n_generated: int, world: int) -> int:
    """Number of steps in which every generated frame is seen so often by one of the workers."""
    return -(-epochs * n_generated // max(world, 1))
