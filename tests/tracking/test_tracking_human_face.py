"""A face that fits a human head badly must look human to a second detector as well."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from perse.errors import PortraitError
from perse.head import HeadModel
from perse.tracking import MediapipeTracker, MediapipeTrackerConfig
from perse.tracking.human_face import human_score
from perse.tracking.selection import SelectionConfig


@pytest.fixture
def strict() -> MediapipeTrackerConfig:
    """Every fit is a bad one."""
    return replace(MediapipeTrackerConfig(), selection=SelectionConfig(sure_fit_error=0.0))


def test_a_person_passes_both(head_model: HeadModel, astronaut: np.ndarray, strict: MediapipeTrackerConfig) -> None:
    portrait = MediapipeTracker(strict, head_model).track(astronaut)
    assert human_score(portrait.image, portrait.landmarks_px) > 1
    # The score is that of the face at the landmarks, and of no texture.
    beside = portrait.landmarks_px + np.array([160, 200, 0], np.float32)
    assert human_score(portrait.image, beside) < SelectionConfig().least_human_score
    smeared = cv2.GaussianBlur(portrait.image, (0, 0), 24)
    assert human_score(smeared, portrait.landmarks_px) < SelectionConfig().least_human_score


def test_what_fits_badly_and_looks_like_nobody_is_refused(
    head_model: HeadModel, astronaut: np.ndarray, strict: MediapipeTrackerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perse.tracking.tracker.human_score", lambda image, landmarks: 0.02)  # a fox-faced dog's
    with pytest.raises(PortraitError, match="not a human face"):
        MediapipeTracker(strict, head_model).track(astronaut)
    MediapipeTracker(MediapipeTrackerConfig(), head_model).track(astronaut)  # fits well: nobody asks
