"""Rest is found between actions, also beside one that lasts and hardly shows in a first fit."""

from __future__ import annotations

import numpy as np
import pytest

from perse.tracking.landmark_model import FitLayout
from perse.tracking.response import with_level_eyes
from perse.tracking.rest_frames import rest_frames

LAYOUT = FitLayout(n_shape=2, n_expression=20)
FRAMES = 40
PUCKER = slice(10, 26)


def test_a_long_pucker_is_not_taken_for_rest() -> None:
    rng = np.random.default_rng(0)
    vectors, lips = np.zeros((FRAMES, LAYOUT.size)), np.full(FRAMES, 0.34)
    vectors[:, LAYOUT.expression] = rng.normal(0, 0.02, (FRAMES, LAYOUT.n_expression))
    vectors[:10, LAYOUT.expression.start] += 0.2  # other actions on either side, so that the pucker lies between them
    vectors[26:, LAYOUT.expression.start] -= 0.2
    lips[PUCKER] = 0.30
    unaware = rest_frames(LAYOUT, vectors, np.full(FRAMES, 0.34), 3)
    assert all(PUCKER.start <= frame < PUCKER.stop for frame in unaware), "else this says nothing of the lips' part"
    assert not any(PUCKER.start <= frame < PUCKER.stop for frame in rest_frames(LAYOUT, vectors, lips, 3))


def test_eyes_are_level_at_rest_and_turn_as_they_did() -> None:
    vectors = np.random.default_rng(1).normal(size=(6, LAYOUT.size))
    rest = np.array([1, 2, 4])
    found = with_level_eyes(LAYOUT, vectors, rest)
    before, after = (v[:, LAYOUT.gaze].reshape(6, 2, 2) for v in (vectors, found))
    assert np.median(after[rest][..., 0]) == pytest.approx(0)
    assert np.ptp(before[..., 0] - after[..., 0]) == pytest.approx(0) and (before[..., 1] == after[..., 1]).all()
    others = np.setdiff1d(np.arange(LAYOUT.size), np.arange(LAYOUT.gaze.start, LAYOUT.gaze.stop))
    assert (found[:, others] == vectors[:, others]).all()
