"""Rest is found between actions, also beside one that lasts and hardly shows in a first fit."""

from __future__ import annotations

import numpy as np
import pytest

from perse.tracking.landmark_model import FitLayout
from perse.tracking.narrowed_lips import Lips
from perse.tracking.response import with_level_eyes
from perse.tracking.rest_frames import rest_frames

LAYOUT = FitLayout(n_shape=2, n_expression=20)
FRAMES = 40
PUCKER = slice(10, 26)


def test_a_long_pucker_is_not_taken_for_rest() -> None:
    rng = np.random.default_rng(0)
    vectors, lips = np.zeros((FRAMES, LAYOUT.size)), [Lips(width=0.34, opening=0.0)] * FRAMES
    vectors[:, LAYOUT.expression] = rng.normal(0, 0.02, (FRAMES, LAYOUT.n_expression))
    vectors[:10, LAYOUT.expression.start] += 0.2  # other actions on either side, so that the pucker lies between them
    vectors[26:, LAYOUT.expression.start] -= 0.2
    unaware = rest_frames(LAYOUT, vectors, lips, 3)
    lips = [Lips(0.30 if PUCKER.start <= frame < PUCKER.stop else 0.34, 0.0) for frame in range(FRAMES)]
    assert all(PUCKER.start <= frame < PUCKER.stop for frame in unaware), "else this says nothing of the lips' part"
    assert not any(PUCKER.start <= frame < PUCKER.stop for frame in rest_frames(LAYOUT, vectors, lips, 3))


def test_a_grin_that_is_held_for_most_of_a_video_is_not_rest() -> None:
    """A real video: two thirds of it are one grin, between two moments of a still face."""
    rng = np.random.default_rng(2)
    grinning = np.zeros(FRAMES, bool)
    grinning[6:34] = True
    vectors = np.zeros((FRAMES, LAYOUT.size))
    vectors[:, LAYOUT.expression] = rng.normal(0, 0.02, (FRAMES, LAYOUT.n_expression))
    vectors[grinning, LAYOUT.expression.start] += 0.8
    lips = [Lips(0.45, 0.08) if grins else Lips(0.34, rng.uniform(0, 0.01)) for grins in grinning]
    assert not grinning[rest_frames(LAYOUT, vectors, lips, 3)].any()
    never_closed = [Lips(lip.width, lip.opening + 0.05) for lip in lips]
    assert not grinning[rest_frames(LAYOUT, vectors, never_closed, 3)].any()


def test_eyes_are_level_at_rest_and_turn_as_they_did() -> None:
    vectors = np.random.default_rng(1).normal(size=(6, LAYOUT.size))
    rest = np.array([1, 2, 4])
    found = with_level_eyes(LAYOUT, vectors, rest)
    before, after = (v[:, LAYOUT.gaze].reshape(6, 2, 2) for v in (vectors, found))
    assert np.median(after[rest][..., 0]) == pytest.approx(0)
    assert np.ptp(before[..., 0] - after[..., 0]) == pytest.approx(0) and (before[..., 1] == after[..., 1]).all()
    others = np.setdiff1d(np.arange(LAYOUT.size), np.arange(LAYOUT.gaze.start, LAYOUT.gaze.stop))
    assert (found[:, others] == vectors[:, others]).all()
