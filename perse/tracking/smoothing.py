"""Smoothing of curves over time: without the tremor of single measurements, and without holes.

A low pass whose cut-off rises with speed, as the One Euro filter's does (Casiez et al., CHI 2012): still moments are
smoothed strongly, fast ones hardly, so that a blink of three frames survives. Unlike theirs it runs forwards and
backwards: the whole recording is known, so nothing lags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SmoothingConfig:
    """Low pass of one kind of curve."""

    still_hz: float
    """Cut-off where nothing moves."""
    per_speed: float
    """Rise of the cut-off, Hz, for a speed of one unit a second."""
    reach_s: float = 0.08
    """The fastest moment within this time counts: the turning point of a blink is no still moment."""


def smooth(values: Float64[np.ndarray, "f c"], fps: float, config: SmoothingConfig) -> Float64[np.ndarray, "f c"]:
    """Smoothed curves [f, c], each by its own speed; constant curves stay as they are."""
    if len(values) < 3:
        return values.copy()
    speed = np.abs(np.gradient(_light(values), axis=0)) * fps
    reach = 2 * max(1, round(config.reach_s * fps)) + 1
    speed = maximum_filter1d(speed, reach, axis=0, mode="nearest")
    cutoff = config.still_hz + config.per_speed * speed
    # Both directions together halve the power at the cut-off of each, so each gets √2 of it.
    share = 1 - np.exp(-2 * np.pi * np.sqrt(2) * cutoff / fps)
    forwards = _low_pass(values, share)
    return _low_pass(forwards[::-1], share[::-1])[::-1].copy()


def _low_pass(values: Floats, share: Floats) -> Floats:
    out = values.copy()
    for frame in range(1, len(values)):
        out[frame] = out[frame - 1] + share[frame] * (values[frame] - out[frame - 1])
    return out


def _light(values: Floats) -> Floats:
    """A three-frame average, for derivatives."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    return (padded[:-2] + 2 * values + padded[2:]) / 4


def fill_gaps(values: Float64[np.ndarray, "f c"], known: Bool[np.ndarray, " f"]) -> Float64[np.ndarray, "f c"]:
    """Curves [f, c] with the unknown frames on straight lines between known ones, and held at the ends."""
    frames = np.arange(len(values))
    return np.stack([np.interp(frames, frames[known], column[known]) for column in values.T], 1)


def gaps(known: Bool[np.ndarray, " f"]) -> list[tuple[int, int]]:
    """Runs of unknown frames: first and last of each."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(np.int8)))
    return [(int(first), int(after) - 1) for first, after in zip(edges[::2], edges[1::2], strict=True)]
