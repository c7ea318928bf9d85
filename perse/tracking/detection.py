"""Faces and their 478 landmarks, by the mediapipe models that come inside its wheel. Nothing is downloaded."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perse import chatter
from perse.tracking.landmarks import N_SURFACE

Image = NDArray[np.uint8]
Points = NDArray[np.float32]

MIN_CONFIDENCE = 0.3
"""Low on purpose: a doubtful face is better refused later with a reason (too small, turned away) than not seen."""


@dataclass(frozen=True)
class FaceBox:
    """A detected face: left, top, width, height in pixels, and the detector's confidence in [0, 1]."""

    left: float
    top: float
    width: float
    height: float
    score: float

    def overlap(self, other: FaceBox) -> float:
        """Intersection over the smaller of the two areas."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        down = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        if across <= 0 or down <= 0:
            return 0.0
        return across * down / min(self.width * self.height, other.width * other.height)


_CHATTER = ("XNNPACK delegate", "absl::InitializeLog()", "inference_feedback_manager.cc")
"""What TensorFlow Lite says of every graph that starts: which delegate it uses, and that a feedback nobody gives is
impossible."""


def started(make: Callable[[Any], Any]) -> Any:
    """A mediapipe solution that has seen a first, empty picture: by then its graph has said what it has to say."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype\(\) is deprecated", category=UserWarning)
    import mediapipe

    with chatter.without(_CHATTER):
        solution = make(mediapipe.solutions)
        solution.process(np.zeros((64, 64, 3), np.uint8))
    return solution


@lru_cache(maxsize=2)
def _detector(far: bool) -> Any:
    return started(
        lambda solutions: solutions.face_detection.FaceDetection(
            model_selection=1 if far else 0, min_detection_confidence=MIN_CONFIDENCE
        )
    )


@lru_cache(maxsize=1)
def _face_mesh() -> Any:
    return started(
        lambda solutions: solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=MIN_CONFIDENCE
        )
    )


@lru_cache(maxsize=1)
def _selfie() -> Any:
    return started(lambda solutions: solutions.selfie_segmentation.SelfieSegmentation(model_selection=0))


def detect_faces(image: Image) -> list[FaceBox]:
    """All faces of an image [h, w, 3], biggest first, found at short and at long range, without duplicates."""
    height, width = image.shape[:2]
    found: list[FaceBox] = []
    for far in (False, True):
        for detection in _detector(far).process(np.ascontiguousarray(image)).detections or ():
            box = detection.location_data.relative_bounding_box
            found.append(
                FaceBox(box.xmin * width, box.ymin * height, box.width * width, box.height * height, detection.score[0])
            )
    kept: list[FaceBox] = []
    for face in sorted(found, key=lambda face: -face.score):
        if all(face.overlap(other) < 0.4 for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.width * face.height)


def detect_landmarks(image: Image) -> Points | None:
    """Landmarks of the most visible face.

    Args:
        image: [h, w, 3] uint8 RGB; works best where the face is about a third of the width or more.

    Returns:
        [478, 3] float32: x, y in pixels (centre of the first pixel at 0.5), z in the same scale, smaller is nearer;
        None without a face.
    """
    height, width = image.shape[:2]
    faces = _face_mesh().process(np.ascontiguousarray(image)).multi_face_landmarks
    if not faces:
        return None
    return np.array([[p.x * width, p.y * height, p.z * width] for p in faces[0].landmark], np.float32)


def landmarks_in_window(image: Image, left: float, top: float, size: float, resolution: int = 768) -> Points | None:
    """Landmarks of the face in a square window of the image, found on a magnified copy; pixels of the image."""
    scale = resolution / size
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    magnified = cv2.warpAffine(
        image, matrix, (resolution, resolution), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    points = detect_landmarks(np.asarray(magnified, np.uint8))
    if points is None:
        return None
    return (points / scale + np.array([left, top, 0], np.float32)).astype(np.float32)


def face_width(points: NDArray[np.floating[Any]]) -> float:
    """Width of the surface landmarks' bounding box, pixels."""
    return float(np.ptp(points[:N_SURFACE, 0]))


def person_probability(image: Image) -> NDArray[np.float32]:
    """How likely each pixel belongs to the person: [h, w] in [0, 1], coarse (the network sees 256 × 256)."""
    return np.asarray(_selfie().process(np.ascontiguousarray(image)).segmentation_mask, np.float32)
