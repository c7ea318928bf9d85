"""Pucker and funnel come from the lips' own width and opening, whatever way the head is turned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perse.head import HeadModel, HeadParameters, Joint, pose_head
from perse.tracking.narrowed_lips import (
    Lips,
    lips_of,
    pucker_and_funnel,
    with_narrowed_lips,
    with_narrowed_lips_of_frames,
)


def points_of(model: HeadModel, turn: float = 0.0, jaw: float = 0.0, **actions: float) -> NDArray[np.float64]:
    """Landmarks [478, 3] of the average head, in millimetres; those that the model lacks are NaN."""
    expression, pose = torch.zeros(model.n_expression), torch.zeros(model.n_joints, 3)
    for name, strength in actions.items():
        expression[model.expression_names.index(name)] = strength
    pose[Joint.NECK, 1], pose[Joint.JAW, 0] = turn, jaw
    still = torch.zeros(model.n_vertices, 3)
    posed = pose_head(model, HeadParameters(torch.zeros(model.n_shape), still, expression, pose))
    points = np.full((478, 3), np.nan)
    points[model.landmark_ids.numpy()] = 1000 * model.landmarks(posed.vertices).numpy()
    return points


@pytest.fixture(scope="module")
def rest(head_model: HeadModel) -> Lips:
    return lips_of(points_of(head_model))


@pytest.mark.parametrize("turn", [0.0, 0.5])
def test_actions_of_the_head_itself_come_back(head_model: HeadModel, rest: Lips, turn: float) -> None:
    def seen(jaw: float = 0.0, **actions: float) -> tuple[float, float]:
        return pucker_and_funnel(lips_of(points_of(head_model, turn, jaw, **actions)), rest)

    assert seen() == (0.0, 0.0)
    pucker, funnel = seen(mouthPucker=1.0)
    assert pucker > 0.7 and funnel < 0.2
    pucker, funnel = seen(mouthFunnel=1.0)
    assert funnel > 0.7 and pucker < 0.2
    assert sum(seen(mouthSmileLeft=1.0, mouthSmileRight=1.0)) == 0
    assert sum(seen(jaw=0.3)) < 0.1


def test_more_narrowing_is_more_of_it_and_a_tremor_is_nothing(rest: Lips) -> None:
    strengths = [pucker_and_funnel(Lips(share * rest.width, 0.0), rest)[0] for share in (1.02, 0.98, 0.94, 0.91, 0.7)]
    assert strengths[:2] == [0, 0] and 0 < strengths[2] < strengths[3] < strengths[4] == 1


def test_what_narrowed_lips_were_taken_for_gives_way() -> None:
    names = ("mouthPucker", "mouthFunnel", "mouthShrugUpper", "mouthFrownLeft", "mouthSmileLeft", "browInnerUp")
    found = with_narrowed_lips(np.full(6, 0.5), names, pucker=0.1, funnel=0.7)
    assert found == pytest.approx([0.1, 0.7, 0.1, 0.1, 0.5, 0.5])
    still = with_narrowed_lips(np.full(6, 0.5), names, pucker=0.0, funnel=0.0)
    assert still == pytest.approx([0.0, 0.0, 0.5, 0.5, 0.5, 0.5])


def test_of_a_film_each_seen_frame_is_compared_with_its_rest(head_model: HeadModel) -> None:
    still, pucker = points_of(head_model), points_of(head_model, mouthPucker=1.0)
    points = np.stack([still, pucker, np.full_like(still, np.nan), 2 * pucker])  # nearer to the camera: no matter
    seen, names = np.array([True, True, False, True]), ("mouthPucker", "mouthFunnel", "browInnerUp")
    found = with_narrowed_lips_of_frames(np.full((4, 3), 0.3), names, points, seen, np.array([0]))
    assert found[0, :2] == pytest.approx([0.0, 0.0]) and found[1, 0] > 0.7 and found[3, 0] == pytest.approx(found[1, 0])
    assert (found[2] == 0.3).all() and (found[:, 2] == 0.3).all()
