"""A hand beside the face is neither an ear nor hair, and stays with the body."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.tracking import hands
from perse.tracking.hands import find_hands
from perse.tracking.parser import ProceduralParser


def flat_hand(wrist: tuple[float, float], length: float) -> NDArray[np.float32]:
    """Landmarks [21, 2] of a hand that points upwards, its palm `length` pixels long."""
    points = [(0.0, 0.0), (-0.3, -0.3), (-0.5, -0.55), (-0.65, -0.75), (-0.75, -0.9)]
    for finger in range(4):
        points += [(-0.3 + 0.2 * finger, -1.0 - 0.3 * joint) for joint in range(4)]
    return (np.array(points) * length + wrist).astype(np.float32)


def test_the_whole_hand_is_covered_and_little_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    points = flat_hand((100, 180), 60)
    monkeypatch.setattr(hands, "detect_hands", lambda image: [points])
    found = find_hands(np.zeros((256, 256, 3), np.uint8))
    x, y = np.round(points).astype(int).T
    assert found[y, x].min() > 0.9
    assert found[150, 95] > 0.9  # the palm between its bones
    assert found[:, 200:].max() < 0.01 and found[220:].max() < 0.01


def test_nothing_is_covered_without_a_hand() -> None:
    """mediapipe's own answer to a grey picture."""
    assert not find_hands(np.full((128, 128, 3), 120, np.uint8)).any()


def test_skin_of_a_hand_is_no_ear(tracked_astronaut: TrackedPortrait, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a hand lay where the sample portrait shows an ear."""
    portrait = tracked_astronaut
    ears = portrait.masks.labels == Part.EARS
    rows, columns = np.nonzero(ears & (np.arange(ears.shape[1]) > portrait.landmarks_px[1, 0]))
    assert len(rows) > 50
    hand = flat_hand((float(columns.mean()), float(rows.max()) + 10), 30)
    monkeypatch.setattr(hands, "detect_hands", lambda image: [hand])
    masks = ProceduralParser().parse(portrait.image, portrait.landmarks_px, inside=portrait.inside)
    inside = find_hands(portrait.image)[rows, columns] > 0.95
    assert inside.mean() > 0.3
    labels = masks.labels[rows, columns][inside]
    assert not (labels == Part.EARS).any() and (labels == Part.NECK).mean() > 0.5
