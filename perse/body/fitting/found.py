"""Detection of the person in a photograph: mediapipe's body and hand landmarks and its person mask, for one person of
several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.errors import PortraitError
from perse.shapes import Picture
from perse.tracking.detection import FaceBox, detect_faces, started

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

N_LANDMARKS = 33
RIVAL_SIZE = 0.45
"""Other faces count as persons when they are at least this wide relative to the widest."""
SIDE_WIDTHS, ABOVE_WIDTHS, BELOW_WIDTHS = (5.0, 3.0, 2.0), 2.0, 11.0
"""Window around a person, in widths of the face box, where there are several; a narrower one where the pose is that of
somebody beside."""
MIN_VISIBILITY = 0.5
MIN_PERSON_PX = 96
"""Smallest usable distance from the nose to the middle of the hips, or twice that to the shoulders."""
HAND_WINDOW = 1.5
"""Side of a hand's window in lengths of the forearm."""
NOSE, L_SHOULDER, R_SHOULDER, L_ELBOW, R_ELBOW, L_WRIST, R_WRIST = 0, 11, 12, 13, 14, 15, 16


@dataclass(frozen=True)
class FoundPerson:
    """Detections of one person, in pixels of the photograph.

    Attributes:
        landmarks_px: [33, 2], mediapipe's body landmarks.
        visibility: [33] in [0, 1]; 0 where the landmark is outside the picture.
        world_m: [33, 3], its guess in metres: x right, y down, z away from the camera, hips at the origin.
        hands_px: [2, 21, 2], left and right (the person's); nan where no hand was found.
        mask: [h, w] in [0, 1], coarse.
    """

    landmarks_px: Float32[NDArray[np.float32], "33 2"]
    visibility: Float32[NDArray[np.float32], "33"]
    world_m: Float32[NDArray[np.float32], "33 3"]
    hands_px: Float32[NDArray[np.float32], "2 21 2"]
    mask: Float32[NDArray[np.float32], "h w"]


@lru_cache(maxsize=1)
def _pose() -> Any:
    return started(
        lambda solutions: solutions.pose.Pose(
            static_image_mode=True, model_complexity=1, enable_segmentation=True, min_detection_confidence=0.5
        )
    )


@lru_cache(maxsize=1)
def _hands() -> Any:
    return started(
        lambda solutions: solutions.hands.Hands(static_image_mode=True, max_num_hands=1, min_detection_confidence=0.3)
    )


def find_person(image: Picture, person: int | None = None) -> FoundPerson:
    """Person to fit.

    Args:
        image: [h, w, 3] uint8 RGB.
        person: counted from 1 at the picture's left; None where there is only one.

    Raises:
        PortraitError: nobody, several persons without a choice, a number that does not exist, too small.
    """
    faces = detect_faces(image)
    rivals = sorted(
        (box for box in faces if box.width >= RIVAL_SIZE * faces[0].width), key=lambda box: box.left + box.width / 2
    )
    chosen = _chosen(rivals, person)
    found = (
        _one_of_several(image, chosen) if len(rivals) > 1 and chosen else _in_window(image, 0, 0, *image.shape[1::-1])
    )
    if found is None:
        raise PortraitError(
            "no person was found; give a photograph of one person whose shoulders can be seen, best a standing one"
        )
    _check(found)
    return found


def _chosen(rivals: list[FaceBox], person: int | None) -> FaceBox | None:
    if person is None:
        if len(rivals) > 1:
            places = ", ".join(f"{n} at x = {box.left + box.width / 2:.0f}" for n, box in enumerate(rivals, 1))
            raise PortraitError(
                f"the picture shows {len(rivals)} persons ({places}); choose one with --person N, from the left"
            )
        return rivals[0] if rivals else None
    if not 1 <= person <= max(len(rivals), 1):
        raise PortraitError(f"there is no person {person}: the picture shows {len(rivals)}, counted from 1 at the left")
    return rivals[person - 1] if rivals else None


def _one_of_several(image: Image, face: FaceBox) -> FoundPerson | None:
    """The person whose face this is; None where no window shows only that one."""
    for side in SIDE_WIDTHS:
        found = _in_window(image, *_window(face, image, side))
        if found is not None and _within(found.landmarks_px[NOSE], face):
            return found
    return None


def _within(place: Floats, face: FaceBox) -> bool:
    """Whether a place in pixels lies in a face's box, or half as much outside of it."""
    x, y = float(place[0]) - face.left, float(place[1]) - face.top
    return -0.5 * face.width < x < 1.5 * face.width and -0.5 * face.width < y < 1.5 * face.width


def _window(face: FaceBox, image: Image, side: float) -> tuple[int, int, int, int]:
    middle = face.left + face.width / 2
    return (
        max(0, int(middle - side * face.width)), max(0, int(face.top - ABOVE_WIDTHS * face.width)),
        min(image.shape[1], int(middle + side * face.width)),
        min(image.shape[0], int(face.top + BELOW_WIDTHS * face.width)),
    )  # fmt: skip


def _in_window(image: Image, left: int, top: int, right: int, bottom: int) -> FoundPerson | None:
    window = np.ascontiguousarray(image[top:bottom, left:right])
    result = _pose().process(window)
    if not result.pose_landmarks:
        return None
    height, width = window.shape[:2]
    marks = result.pose_landmarks.landmark
    pixels = np.array([[one.x * width + left, one.y * height + top] for one in marks], np.float32)
    inside = ((pixels >= 0) & (pixels < np.array(image.shape[1::-1]))).all(1)
    visibility = np.array([one.visibility for one in marks], np.float32) * inside
    world = np.array([[one.x, one.y, one.z] for one in result.pose_world_landmarks.landmark], np.float32)
    mask = np.zeros(image.shape[:2], np.float32)
    mask[top:bottom, left:right] = result.segmentation_mask
    hands = np.stack([
        _hand(image, pixels, visibility, elbow, wrist) for elbow, wrist in ((L_ELBOW, L_WRIST), (R_ELBOW, R_WRIST))
    ])  # fmt: skip
    return FoundPerson(pixels, visibility, world, hands, mask)


def _hand(image: Image, pixels: Floats, visibility: Floats, elbow: int, wrist: int) -> Floats:
    """Landmarks [21, 2] of the hand at a wrist, nan if none is found there."""
    nothing = np.full((21, 2), np.nan, np.float32)
    if visibility[wrist] < MIN_VISIBILITY:
        return nothing
    forearm = pixels[wrist] - pixels[elbow]
    length = max(float(np.linalg.norm(forearm)), 0.25 * float(np.linalg.norm(pixels[L_SHOULDER] - pixels[R_SHOULDER])))
    middle, half = pixels[wrist] + 0.3 * forearm, HAND_WINDOW * length / 2
    if half < 12:
        return nothing
    scale = 384 / (2 * half)
    shift = np.array([[scale, 0, -(middle[0] - half) * scale], [0, scale, -(middle[1] - half) * scale]])
    window = cv2.warpAffine(image, shift, (384, 384), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    found = _hands().process(np.asarray(window, np.uint8)).multi_hand_landmarks
    if not found:
        return nothing
    points = np.array([[one.x * 384, one.y * 384] for one in found[0].landmark], np.float32) / scale + middle - half
    if np.linalg.norm(points[0] - pixels[wrist]) > 0.6 * length:  # the other hand, which is near
        return nothing
    return np.asarray(points, np.float32)


def _check(found: FoundPerson) -> None:
    seen = found.visibility >= MIN_VISIBILITY
    if not (seen[L_SHOULDER] or seen[R_SHOULDER]) or not seen[NOSE]:
        raise PortraitError(
            "the person's head and shoulders cannot be seen together; give a photograph of somebody who stands or "
            "sits towards the camera"
        )
    shoulders = (found.landmarks_px[L_SHOULDER] + found.landmarks_px[R_SHOULDER]) / 2
    tall = 2.5 * float(np.linalg.norm(found.landmarks_px[NOSE] - shoulders))
    if tall < MIN_PERSON_PX:
        raise PortraitError(
            f"the person is too small: {tall:.0f} px from nose to hips, at least {MIN_PERSON_PX} px are needed; give a "
            "larger picture or a closer crop"
        )
