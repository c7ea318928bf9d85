"""A face before a camera: rest is learned in a second, movements come back at once, and calm is without lag."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perse.data import TrackedPortrait
from perse.head import HeadModel, HeadParameters, Joint
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.seams import Shot
from perse.tracking.live import LiveFrame, LiveTracker, LiveTrackerConfig, Seen
from perse.tracking.one_euro import OneEuro
from perse.tracking.smoothing import SmoothingConfig

CONFIG = LiveTrackerConfig(rest_s=0.3)
FPS, RESTING, FRAMES = 20.0, 7, 19
"""Frames at rest, and all of them."""


@pytest.fixture(scope="module")
def pictures(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> NDArray[np.uint8]:
    """[f, 192, 192, 3]: at rest, then a turn to the person's left with the mouth open, and back."""
    share = np.clip(np.sin(np.pi * (np.arange(FRAMES) - RESTING) / (FRAMES - RESTING - 1)), 0, 1)
    pose = torch.zeros(FRAMES, head_model.n_joints, 3)
    pose[:, Joint.NECK, 1] = torch.from_numpy(0.35 * share)
    pose[:, Joint.JAW, 0] = torch.from_numpy(0.3 * share)
    performed = HeadParameters(torch.zeros(0), torch.zeros(0, 3), torch.zeros(FRAMES, head_model.n_expression), pose)
    shot = Shot(np.arange(FRAMES, dtype=np.int32), performed, 192)
    return ProceduralAnimatorConfig().build(head_model).animate(tracked_astronaut, None, shot).images


@pytest.fixture(scope="module")
def tracker(head_model: HeadModel) -> LiveTracker:
    return LiveTracker(CONFIG, head_model)


def followed(tracker: LiveTracker, pictures: NDArray[np.uint8]) -> list[LiveFrame]:
    tracker.rest_again()
    return [tracker.see(picture, number / FPS) for number, picture in enumerate(pictures)]


def test_a_second_at_rest_then_what_the_face_does(tracker: LiveTracker, pictures: NDArray[np.uint8]) -> None:
    frames = followed(tracker, pictures)
    assert [frame.seen for frame in frames] == [Seen.RESTING] * RESTING + [Seen.FACE] * (FRAMES - RESTING)
    assert [frame.rested for frame in frames[:RESTING]] == sorted(frame.rested for frame in frames[:RESTING])
    motions = [frame.motion for frame in frames[RESTING:]]
    turn = np.array([motion.joints["neck"][0, 1] for motion in motions if motion])
    jaw = np.array([motion.joints["jaw"][0, 0] for motion in motions if motion])
    middle = (FRAMES - RESTING) // 2
    assert 0.25 < turn.max() < 0.45 and abs(int(turn.argmax()) - middle) <= 1  # a frame late at most
    assert jaw.max() > 0.12 and abs(turn[0]) < 0.08 and jaw[0] < 0.05 and abs(turn[-1]) < 0.12
    smile = [float(motion.expressions["mouthSmileLeft"][0]) for motion in motions if motion]
    assert max(smile) < 0.35  # nothing else


def test_nobody_and_a_face_far_away_are_said(tracker: LiveTracker, pictures: NDArray[np.uint8]) -> None:
    tracker.rest_again()
    blank = np.full((192, 192, 3), 128, np.uint8)
    assert tracker.see(blank, 0.0) == LiveFrame(Seen.NOBODY, 0.0)
    small = blank.copy()
    small[60:124, 60:124] = cv2.resize(pictures[0], (64, 64), interpolation=cv2.INTER_AREA)
    assert tracker.see(small, 0.1).seen in (Seen.FAR, Seen.NOBODY)
    frames = followed(tracker, pictures[:10])
    lost = tracker.see(blank, 20 / FPS)
    assert frames[-1].seen is Seen.FACE and lost.seen is Seen.NOBODY and lost.motion is None and lost.rested == 1


def test_one_euro_calms_what_is_still_and_does_not_hold_back_what_is_fast() -> None:
    config = LiveTrackerConfig().turns
    random, still = np.random.default_rng(0), OneEuro(config)
    tremor = random.normal(0, 0.003, 200)  # three times that of the landmarks
    calm = np.array([still.calm(np.array([value]), k / 25)[0] for k, value in enumerate(tremor)])
    assert calm[20:].std() < 0.6 * tremor[20:].std()
    turning = OneEuro(config)
    ramp = np.arange(50) / 25 * 1.5  # 1.5 radians a second
    late_s = (ramp - np.array([turning.calm(np.array([value]), k / 25)[0] for k, value in enumerate(ramp)])) / 1.5
    assert late_s[10:].max() < 0.02
    slow = OneEuro(SmoothingConfig(still_hz=1.0, per_speed=0.0))
    values = np.array([slow.calm(np.array([value]), k / 25)[0] for k, value in enumerate(ramp)])
    assert (ramp - values)[20:].min() / 1.5 > 0.1  # a plain low pass lags a tenth of a second: the measure can fail


def test_time_that_stands_still_changes_nothing() -> None:
    calm = OneEuro(SmoothingConfig(still_hz=2.0, per_speed=1.0))
    first = calm.calm(np.array([0.5]), 1.0)
    assert calm.calm(np.array([0.9]), 1.0) == first and calm.calm(np.array([0.9]), 0.5) == first
