"""The body that is found again in a frame, and the head's turn that its place tells."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import PartMasks, TrackedPortrait
from perse.geometry import axis_angle_to_matrix
from perse.head import HeadModel, HeadParameters, Joint, pose_head
from perse.tracking.reframing import Reframed
from perse.tracking.standing_body import StandingBody

SIZE = 512
EVERYWHERE = np.full((SIZE, SIZE), 255, np.uint8)


@pytest.fixture(scope="module")
def body(tracked_astronaut: TrackedPortrait, head_model: HeadModel) -> StandingBody:
    return StandingBody(tracked_astronaut, head_model)


def _moved(portrait: TrackedPortrait, matrix: NDArray[np.float64], gain: float = 1.0) -> NDArray[np.uint8]:
    """The portrait's crop somewhere else, in another exposure. The matrix acts on pixel positions."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    picture = cv2.warpPerspective(portrait.image, np.linalg.inv(half) @ matrix @ half, (SIZE, SIZE))
    return (picture * gain).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("zoom", "roll", "shift"), [(1.0, 0.0, (0, 0)), (1.04, 0.03, (9, -6)), (0.95, -0.05, (-14, 8))]
)
def test_a_body_that_was_moved_is_brought_back(
    body: StandingBody, tracked_astronaut: TrackedPortrait, zoom: float, roll: float, shift: tuple[float, float]
) -> None:
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), np.degrees(roll), zoom)
    matrix[:2, 2] += shift
    found = body.movement(_moved(tracked_astronaut, matrix, 0.9), EVERYWHERE)
    assert found is not None
    for point in ((150.0, 480.0, 1.0), (350.0, 480.0, 1.0)):
        # Pixels: half a pixel of the search, and rounding.
        assert np.allclose(found @ matrix @ np.array(point), point, atol=0.6)


def test_what_is_no_such_body_is_not_found(
    body: StandingBody, tracked_astronaut: TrackedPortrait, head_model: HeadModel
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    assert body.movement(noise, EVERYWHERE) is None
    assert body.movement(tracked_astronaut.image, np.zeros_like(EVERYWHERE)) is None
    far = np.diag([1.5, 1.5, 1.0])
    assert body.movement(_moved(tracked_astronaut, far), EVERYWHERE) is None
    soft = tracked_astronaut.masks.soft.copy()
    soft[Part.CLOTHES] = 0
    naked = replace(tracked_astronaut, masks=PartMasks(soft, tracked_astronaut.masks.person))
    assert StandingBody(naked, head_model).movement(tracked_astronaut.image, EVERYWHERE) is None
    frame = Reframed(np.eye(3), tracked_astronaut.head)
    assert body.settled(frame, noise, tracked_astronaut.landmarks_px) is frame


def test_a_turn_that_was_read_too_large_is_told_by_the_body(
    body: StandingBody, tracked_astronaut: TrackedPortrait, head_model: HeadModel
) -> None:
    """Landmarks as the portrait's camera sees them of a head turned by 15°, on a body that stands; the first guess is
    5° more, for which its frame was moved."""
    portrait = tracked_astronaut

    def turned(degrees: float) -> HeadParameters:
        pose = portrait.head.pose.clone()
        pose[Joint.NECK, 1] += np.radians(degrees)
        return replace(portrait.head, pose=pose)

    def landmarks(head: HeadParameters) -> NDArray[np.float32]:
        points = np.zeros((478, 3), np.float32)
        placed = head_model.landmarks(pose_head(head_model, head).vertices)
        points[head_model.landmark_ids.numpy(), :2] = portrait.camera.project(placed)[0].numpy()
        return points

    true, guess = turned(15), turned(20)
    points = landmarks(true)
    moved = np.eye(3)
    moved[:2, 2] = (landmarks(guess) - points)[head_model.landmark_ids.numpy(), :2].mean(0)
    assert np.hypot(*moved[:2, 2]) > 5, "the guess moves the body"
    found = body.settled(Reframed(moved, guess), portrait.image, points)
    assert np.abs(found.matrix[:2, 2]).max() < 2.5
    # A third of a degree over the body is less than a pixel.
    assert np.allclose(found.matrix[:2, :2], np.eye(2), atol=5e-3)
    apart = axis_angle_to_matrix(found.head.pose[Joint.NECK]).T @ axis_angle_to_matrix(true.pose[Joint.NECK])
    assert float(torch.arccos(((torch.trace(apart) - 1) / 2).clamp(-1, 1))) < np.radians(1.5)
    seen, wanted = found.points(points), landmarks(found.head)
    ids = head_model.landmark_ids.numpy()
    assert np.linalg.norm((seen - wanted)[ids, :2].mean(0)) < 1.0, "the face lies on its landmarks"
