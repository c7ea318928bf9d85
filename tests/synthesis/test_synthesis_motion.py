"""The shared motion: smooth, complete in both splits at every stride the recipes use, and exactly its script."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from perse.errors import RecipeError
from perse.head import Joint
from perse.synthesis.motion import TEST_FRAMES, TRAIN_FRAMES, load_motion
from perse.synthesis.motion.choreography import DATA_PATH, choreograph

LAPTOP_STRIDE = 8


@pytest.fixture(scope="module")
def score():  # type: ignore[no-untyped-def]
    with np.load(DATA_PATH) as data:
        return {name: data[name] for name in data.files}


def _split(frames: range) -> np.ndarray:
    return np.array([f for f in frames if f % LAPTOP_STRIDE == 0])


def test_committed_data_is_what_the_script_writes(score) -> None:  # type: ignore[no-untyped-def]
    made = choreograph()
    assert set(made) == set(score)
    for name, value in made.items():
        if value.dtype.kind == "f":  # other builds of scipy may round the last digit differently
            np.testing.assert_allclose(score[name], value, atol=1e-6)
        else:
            assert (score[name] == value).all()


@pytest.mark.parametrize("frames", [TRAIN_FRAMES, TEST_FRAMES])
def test_each_split_covers_everything_even_at_the_laptop_stride(score, frames: range) -> None:  # type: ignore[no-untyped-def]
    chosen = _split(frames)
    angles = Rotation.from_rotvec(score["head"][chosen]).as_euler("YXZ", degrees=True)
    for axis, reach in enumerate((36, 16, 9.5)):
        assert angles[:, axis].max() >= reach and angles[:, axis].min() <= -reach
    assert score["jaw"][chosen, 0].max() >= 0.4
    gaze = np.rad2deg(score["eyes"][chosen])
    assert np.ptp(gaze[:, 1]) > 25 and np.ptp(gaze[:, 0]) > 12
    peaks = dict(zip(score["action_names"], score["actions"][chosen].max(0), strict=True))
    for action in ("eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "browDownLeft", "mouthSmileRight", "mouthPucker"):
        assert peaks[action] >= 0.85, action


def test_angles_stay_within_what_the_animator_promises(score) -> None:  # type: ignore[no-untyped-def]
    angles = np.abs(Rotation.from_rotvec(score["head"]).as_euler("YXZ", degrees=True)).max(0)
    assert (angles <= np.array([40, 20, 12]) + 1e-3).all()
    assert score["actions"].min() >= 0 and score["actions"].max() <= 1


def test_motion_is_smooth(score) -> None:  # type: ignore[no-untyped-def]
    head = np.rad2deg(score["head"])
    assert np.abs(np.diff(head, axis=0)).max() < 4  # degrees a frame; 30 frames a second make 120 a second
    assert np.abs(np.diff(head, n=2, axis=0)).max() < 0.8
    assert np.abs(np.diff(score["actions"], axis=0)).max() < 0.5
    assert np.abs(np.diff(score["jaw"], axis=0)).max() < 0.12


def test_test_poses_are_new_but_within_the_training_range(score) -> None:  # type: ignore[no-untyped-def]
    state = np.concatenate([score["head"], score["jaw"], score["eyes"], 0.3 * score["actions"]], 1)
    train, test = state[: len(TRAIN_FRAMES)], state[TEST_FRAMES.start + 8 :]
    nearest = np.linalg.norm(test[:, None] - train[None], axis=-1).min(1)
    assert nearest.min() > 0.03
    angles = Rotation.from_rotvec(score["head"]).as_euler("YXZ")
    train_angles, test_angles = angles[: len(TRAIN_FRAMES)], angles[len(TRAIN_FRAMES) :]
    assert (test_angles.max(0) <= train_angles.max(0)).all() and (test_angles.min(0) >= train_angles.min(0)).all()


def test_actions_reach_the_model_by_name(head_model, score) -> None:  # type: ignore[no-untyped-def]
    motion = load_motion(head_model)
    assert len(motion) == 513
    blink = head_model.expression_names.index("eyeBlinkLeft")
    column = list(score["action_names"]).index("eyeBlinkLeft")
    torch.testing.assert_close(motion.expression[:, blink], torch.from_numpy(score["actions"][:, column]))
    assert not motion.pose[:, Joint.GLOBAL].any() and motion.pose[:, Joint.NECK].abs().max() > 0.6


def test_a_model_without_named_actions_is_refused(head_model) -> None:  # type: ignore[no-untyped-def]
    anonymous = replace(head_model, expression_names=tuple(f"expression {i}" for i in range(head_model.n_expression)))
    with pytest.raises(RecipeError, match="mouthPucker"):
        load_motion(anonymous)
