"""Spectacles: found where a frame is drawn, never invented, and taken out of the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from perse.tracking import detect_landmarks
from perse.tracking.detection import face_width
from perse.tracking.landmarks import LEFT_EYE, RIGHT_EYE
from perse.tracking.spectacles import find_spectacles, without_spectacles


@pytest.fixture(scope="module")
def face(astronaut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return astronaut, detect_landmarks(astronaut)


def wearing(
    image: np.ndarray, points: np.ndarray, *, bridge: bool = True, color: tuple[int, int, int] = (60, 45, 40)
) -> tuple[np.ndarray, np.ndarray]:
    """A frame of two ellipses drawn on the face, 1.3 % of its width thick: the picture and where it was drawn."""
    width, scale = face_width(points), 16
    eyes = [points[list(loop), :2].mean(0) for loop in (RIGHT_EYE, LEFT_EYE)]
    drawn = np.zeros(image.shape[:2], np.uint8)
    thickness = max(2, round(0.013 * width))
    for eye, sign in zip(eyes, (-1, 1), strict=True):
        centre = np.round(scale * (eye + np.array([0.02 * sign, 0.03]) * width)).astype(int)
        axes = np.round(scale * width * np.array([0.165, 0.13])).astype(int)
        cv2.ellipse(drawn, centre.tolist(), axes.tolist(), 0, 0, 360, 255, thickness, cv2.LINE_AA, 4)
    if bridge:
        inner = [eye - np.array([0.145 * sign, 0.0]) * width for eye, sign in zip(eyes, (-1, 1), strict=True)]
        cv2.line(drawn, *(np.round(end).astype(int).tolist() for end in inner), 255, thickness, cv2.LINE_AA)
    share = drawn[..., None] / 255
    return np.round(image * (1 - share) + np.array(color) * share).astype(np.uint8), drawn


def test_a_face_without_spectacles_has_none(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, points = face
    assert find_spectacles(image, points) is None
    assert without_spectacles(image, None) is image


def test_rims_without_a_bridge_are_something_else(face: tuple[np.ndarray, np.ndarray]) -> None:
    """Rings under tired eyes or paint: only a frame crosses the nose."""
    image, points = face
    assert find_spectacles(wearing(image, points, bridge=False)[0], points) is None


def test_grain_is_no_frame(face: tuple[np.ndarray, np.ndarray]) -> None:
    """Dark paths are found through grain everywhere, across the nose's ridge as well as across its root."""
    image, points = face
    grain = cv2.GaussianBlur(np.random.default_rng(3).standard_normal(image.shape[:2]), (0, 0), 1.2)
    grainy = np.clip(image + 120 * grain[..., None], 0, 255).astype(np.uint8)
    assert find_spectacles(grainy, points) is None


@pytest.mark.parametrize("turn", [0, 15])
def test_a_frame_is_found_where_it_is(face: tuple[np.ndarray, np.ndarray], turn: int) -> None:
    image, points = face
    picture, drawn = wearing(image, points)
    if turn:  # a head that leans
        matrix = cv2.getRotationMatrix2D((256.0, 200.0), turn, 1.0)
        size = picture.shape[1::-1]
        picture, drawn = (cv2.warpAffine(layer, matrix, size) for layer in (picture, drawn))
        points = np.concatenate([points[:, :2] @ matrix[:, :2].T + matrix[:, 2], points[:, 2:]], 1)
    found = find_spectacles(picture, points.astype(np.float32))
    assert found is not None
    sure = drawn > 128
    assert found.alpha[sure].mean() > 0.6
    away = cv2.distanceTransform((drawn == 0).astype(np.uint8), cv2.DIST_L2, 3) > 0.06 * face_width(points)
    assert found.alpha[away].max() < 0.05
    assert found.hinges[0, 0] < points[168, 0] < found.hinges[1, 0]


def test_what_is_left_is_the_face_behind(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, points = face
    picture, drawn = wearing(image, points)
    behind = without_spectacles(picture, find_spectacles(picture, points))
    sure = drawn > 128
    before, after = (np.abs(layer.astype(float) - image)[sure].mean() for layer in (picture, behind))
    assert after < 0.3 * before  # 12 of 100 levels; what remains are brows and lids under the rim
