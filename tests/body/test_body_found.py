"""Finding and fitting people: the sample person, half a person, nobody, two."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perse.body.fitting.config import PersonFitConfig
from perse.body.fitting.face import TrackedFace, track_face
from perse.body.fitting.fit import BodyFit, BodyFitConfig, fit_body
from perse.body.fitting.found import find_person
from perse.body.fitting.head_transfer import baked_head
from perse.body.fitting.person import fit_person
from perse.body.model import BodyJoint, pose_body
from perse.body.sample import sample_photograph
from perse.errors import PortraitError
from perse.head import HeadModel
from perse.head.embedded import embedded_head

QUICK = BodyFitConfig(iterations=90)


@pytest.fixture(scope="module")
def photograph() -> NDArray[np.uint8]:
    return sample_photograph()


def test_the_sample_person_is_found_whole_and_fitted(photograph: NDArray[np.uint8], body_model: HeadModel) -> None:
    found = find_person(photograph)
    height, width = photograph.shape[:2]
    fit = fit_body(body_model, found, (width, height), None, torch.zeros_like(body_model.template), QUICK)
    assert fit.guessed == ()
    assert fit.rms_px < 0.012 * height
    distance = -float(fit.parameters.translation[2])
    assert 2.5 < distance < 4.5  # it was drawn from 4 m, with a longer lens than the fit assumes


def joints_of(fit: BodyFit, model: HeadModel) -> torch.Tensor:
    """Posed joints [55, 3], metres."""
    return pose_body(model, fit.parameters).posed_joints


def test_who_stands_does_not_lean_whatever_the_landmarks_depths_say(
    photograph: NDArray[np.uint8], body_model: HeadModel
) -> None:
    """mediapipe's guesses put the feet of four photographed persons 5 to 20 cm before or behind the hips; here 30."""
    found, size = find_person(photograph), photograph.shape[1::-1]
    world = found.world_m.copy()
    world[25:, 2] += 0.3 * np.clip(world[25:, 1] / world[27, 1], 0, 1)
    leaning = replace(found, world_m=world)

    def lean(config: BodyFitConfig) -> float:
        fit = fit_body(body_model, leaning, size, None, torch.zeros_like(body_model.template), config)
        depth = joints_of(fit, body_model)[:, 2]
        return float((depth[[1, 2]].mean() - depth[[7, 8]].mean()).abs())

    assert lean(replace(QUICK, upright=0.0)) > 0.06
    assert lean(QUICK) < 0.03


def test_a_head_stands_over_its_shoulders(photograph: NDArray[np.uint8], body_model: HeadModel) -> None:
    """A face's landmarks bend the neck by a few centimetres, since nothing else in a picture says how it stands."""
    found, size = find_person(photograph), photograph.shape[1::-1]
    face = track_face(photograph, found)
    assert isinstance(face, TrackedFace)
    head = baked_head(body_model, embedded_head(), face.portrait.head)
    fit = fit_body(body_model, found, size, face.landmarks_px, head, BodyFitConfig())

    def before_the_shoulders(joints: torch.Tensor) -> float:
        return float(joints[BodyJoint.HEAD, 2] - joints[[16, 17], 2].mean())

    at_rest = body_model.joint_regressor @ (body_model.template + head)
    # 8 to 12 cm in three photographs, 5 in this one, 1 where the head is held.
    assert abs(before_the_shoulders(joints_of(fit, body_model)) - before_the_shoulders(at_rest)) < 0.03


def test_a_sitting_persons_legs_may_go_forwards(photograph: NDArray[np.uint8], body_model: HeadModel) -> None:
    found = find_person(photograph)
    world = found.world_m.copy()
    thigh = world[[25, 26], 1] - world[[23, 24], 1]
    world[25:, 1] -= thigh.mean()
    world[25:, 2] -= thigh.mean()
    fits = [
        fit_body(
            body_model, replace(found, world_m=world), photograph.shape[1::-1], None,
            torch.zeros_like(body_model.template), replace(QUICK, upright=weight),
        ) for weight in (0.0, QUICK.upright)
    ]  # fmt: skip
    torch.testing.assert_close(fits[0].parameters.pose, fits[1].parameters.pose)  # nothing is asked of it


def test_half_a_person_is_accepted_and_the_rest_is_guessed(astronaut: NDArray[np.uint8], body_model: HeadModel) -> None:
    found = find_person(astronaut)
    fit = fit_body(body_model, found, (512, 512), None, torch.zeros_like(body_model.template), QUICK)
    assert {"left leg", "right leg"} <= set(fit.guessed)
    knees = fit.parameters.pose[[4, 5], 0]
    assert (knees.abs() < 0.5).all()  # legs that nobody saw stand


def test_nobody_is_said_in_one_line() -> None:
    with pytest.raises(PortraitError, match="no person was found"):
        find_person(np.full((256, 256, 3), 128, np.uint8))


def test_two_persons_need_a_choice(photograph: NDArray[np.uint8]) -> None:
    both = np.concatenate([photograph, photograph], 1)
    with pytest.raises(PortraitError, match=r"2 persons.*--person N"):
        find_person(both)
    with pytest.raises(PortraitError, match="no person 3"):
        find_person(both, 3)
    first, second = (find_person(both, number).landmarks_px[0, 0] for number in (1, 2))
    assert first < photograph.shape[1] < second


def test_of_two_who_stand_close_each_is_found(photograph: NDArray[np.uint8]) -> None:
    """One stands half behind the other: in a wide window mediapipe finds the one in front, whoever is asked for."""
    height, width = photograph.shape[:2]
    apart = width // 4
    scene = np.concatenate([photograph, photograph[:, -apart:]], 1)
    small = cv2.resize(photograph, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    person = (np.abs(small.astype(int) - small[2, 2]).sum(-1) > 60)[..., None]
    place = scene[height - small.shape[0] :, width + apart - small.shape[1] :]
    place[...] = np.where(person, small, place)
    noses = [float(find_person(scene, number).landmarks_px[0, 0]) for number in (1, 2)]
    assert noses[1] - noses[0] > 0.5 * apart


def test_a_person_too_small_is_refused(photograph: NDArray[np.uint8]) -> None:
    room = np.full((700, 900, 3), 200, np.uint8)
    room[300:500, 300:433] = cv2.resize(photograph, (133, 200), interpolation=cv2.INTER_AREA)
    with pytest.raises(PortraitError, match=r"too small|no person"):
        find_person(room)


@pytest.mark.heavy
def test_another_bodys_head_is_not_the_tracked_one(photograph: NDArray[np.uint8], body_model: HeadModel) -> None:
    """Hats are made for the tracked head: on a body of other vertices they would land anywhere, so there is no face."""

    class Stranger:
        def load(self) -> HeadModel:
            return body_model

    config = PersonFitConfig(fit=BodyFitConfig(iterations=6), longest_edge_m=0.2)
    person = fit_person(photograph, Stranger(), config)
    assert person.face is None and "face shape" in person.guessed
