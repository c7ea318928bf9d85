"""Sampling of frames and videos for a training step: a pure function of the seed and the step's number.

A step's samples have one size and one length, so that they make one batch: they come from one bucket, chosen with the
number of its videos. All workers of a step use the same bucket and different videos of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perse.errors import StageError

_BUCKETS, _SAMPLES = 50, 51  # streams of random numbers that must not meet


@dataclass(frozen=True)
class Take:
    """Video that may be trained on.

    Attributes:
        key: of its footage.
        name: of its file, for people.
        frames: how many it has.
        size_px: of its frames.
        length: longest window that it fills, of the recipe's.
    """

    key: str
    name: str
    frames: int
    size_px: int
    length: int


@dataclass(frozen=True)
class Sample:
    """Frames that are looked at of one video.

    Attributes:
        key: of its footage.
        reference: frame that serves as the portrait.
        frames: frames to be denoised, in order.
    """

    key: str
    reference: int
    frames: tuple[int, ...]


def training_frames(frames: int, held_out_every: int) -> list[int]:
    """Frames of a video that are trained on: all but every n-th, never the first."""
    return [number for number in range(frames) if not _held_out(number, held_out_every)]


def held_out_frames(frames: int, held_out_every: int) -> list[int]:
    """Frames of a video that are not trained on; see `training_frames`."""
    return [number for number in range(frames) if _held_out(number, held_out_every)]


def _held_out(number: int, every: int) -> bool:
    return number % every == every // 2 and number > 0


def sample_footage(
    takes: Sequence[Take], *, seed: int, step: int, rank: int, world: int, batch: int, frames: int, stride: int,
    held_out_every: int,
) -> list[Sample]:  # fmt: skip
    """Samples of one step and worker.

    Args:
        batch: samples of a step, over all workers.
        frames: of a sample, at most; videos of a bucket whose windows are shorter give shorter ones.
        stride: every n-th training frame, where the video is long enough.

    Raises:
        StageError: there are no videos, or fewer samples than workers.
    """
    if not takes:
        raise StageError("there is no video to train on")
    share = batch // world
    if share < 1 or batch % world:
        raise StageError(f"a batch of {batch} samples cannot be shared by {world} workers; choose a multiple")
    bucket = _bucket(takes, frames, np.random.default_rng((seed, _BUCKETS, step)))
    rng = np.random.default_rng((seed, _SAMPLES, step, rank))
    length = min(frames, bucket[0].length)
    return [_sample(bucket[rng.integers(len(bucket))], length, stride, held_out_every, rng) for _ in range(share)]


def _bucket(takes: Sequence[Take], frames: int, rng: np.random.Generator) -> list[Take]:
    found: dict[tuple[int, int], list[Take]] = {}
    for take in takes:
        found.setdefault((take.size_px, min(frames, take.length)), []).append(take)
    return _weighted(found, rng)


def _weighted(buckets: Mapping[tuple[int, int], list[Take]], rng: np.random.Generator) -> list[Take]:
    keys = sorted(buckets)
    counts = np.array([len(buckets[key]) for key in keys], np.float64)
    return buckets[keys[int(rng.choice(len(keys), p=counts / counts.sum()))]]


def _sample(take: Take, length: int, stride: int, held_out_every: int, rng: np.random.Generator) -> Sample:
    usable = training_frames(take.frames, held_out_every)
    length = min(length, len(usable))
    stride = min(stride, (len(usable) - 1) // max(length - 1, 1)) or 1
    start = int(rng.integers(len(usable) - (length - 1) * stride))
    chosen = usable[start : start + (length - 1) * stride + 1 : stride]
    return Sample(take.key, usable[int(rng.integers(len(usable)))], tuple(chosen))
