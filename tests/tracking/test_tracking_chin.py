"""A chin says how far its jaw can be open."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perse.head import HeadModel, HeadParameters, Joint, pose_head
from perse.tracking.chin import ANSWERED, PER_RADIAN, SURE_RAD, chin_height, widest_jaw, widest_jaws


def landmarks(model: HeadModel, jaw: float, **actions: float) -> np.ndarray:
    """Landmarks [478, 3] of the embedded head, metres; those that it lacks are 0."""
    head = HeadParameters(
        torch.zeros(model.n_shape),
        torch.zeros(model.n_vertices, 3),
        torch.zeros(model.n_expression),
        torch.zeros(model.n_joints, 3),
    )
    head.pose[Joint.JAW, 0] = jaw
    for name, strength in actions.items():
        for side in ("Left", "Right"):
            head.expression[model.expression_names.index(name + side)] = strength
    points = np.zeros((478, 3))
    points[model.landmark_ids.numpy()] = model.landmarks(pose_head(model, head).vertices).numpy()
    return points


def test_a_grin_with_the_teeth_together_opens_no_jaw(head_model: HeadModel) -> None:
    rest = chin_height(landmarks(head_model, 0))
    grin = landmarks(head_model, 0, mouthSmile=1, mouthUpperUp=1, mouthLowerDown=1, mouthDimple=1)
    assert np.linalg.norm(grin[13] - grin[14]) > 0.005  # metres: the lips are apart
    # Cheeks widen in a grin: a hundredth of the face's width.
    assert widest_jaw(chin_height(grin), rest) < SURE_RAD + 0.01 / (PER_RADIAN * ANSWERED)


@pytest.mark.parametrize("jaw", [0.1, 0.3, 0.5])
def test_an_open_jaw_is_believed_also_where_the_network_shows_half_of_it(head_model: HeadModel, jaw: float) -> None:
    closed, opened = landmarks(head_model, 0), landmarks(head_model, jaw)
    half = closed + ANSWERED * (opened - closed)
    limit = widest_jaw(chin_height(half), chin_height(closed))
    assert jaw < limit < 1.3 * jaw + SURE_RAD
    film = np.stack([closed, half, half])
    limits = widest_jaws(film, np.array([True, True, False]), np.array([0]))
    assert limits[0] == SURE_RAD and limits[1] == pytest.approx(limit) and limits[2] == np.inf
