"""Faces and their 478 landmarks, by the mediapipe models that come inside its wheel. Nothing is downloaded."""

from __future__ import annotations

import logging
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import NDArray

from perse import chatter
from perse.shapes import FaceLandmarks, Picture, SoftMask
from perse.tracking.landmarks import N_SURFACE

Points = NDArray[np.float32]

MIN_CONFIDENCE = 0.3
"""Low on purpose: a doubtful face is better refused later with a reason (too small, turned away) than not seen."""

MIN_HAND_CONFIDENCE = 0.5
"""mediapipe's default: a hand that is made up would take an ear away."""


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


class Shared:
    """Mediapipe solution of still pictures that several threads may use at once.

    A graph works on one picture at a time, and two callers would get each other's answers: each takes one that is idle,
    or starts another.

    Args:
        make: starts one, from `mediapipe.solutions`.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._idle: deque[Any] = deque()

    def process(self, image: Picture) -> Any:
        """Answer of the solution to a picture [h, w, 3]."""
        try:
            solution = self._idle.pop()
        except IndexError:
            solution = started(self._make)
        answer = solution.process(np.ascontiguousarray(image))
        self._idle.append(solution)  # one that failed is not used again
        return answer


def _detector(model: int) -> Shared:
    return Shared(
        lambda solutions: solutions.face_detection.FaceDetection(
            model_selection=model, min_detection_confidence=MIN_CONFIDENCE
        )
    )


_DETECTORS = (_detector(0), _detector(1))
"""For faces near by and far away."""

_FACE_MESH = Shared(
    lambda solutions: solutions.face_mesh.FaceMesh(
        static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=MIN_CONFIDENCE
    )
)

_HANDS = Shared(
    lambda solutions: solutions.hands.Hands(
        static_image_mode=True, max_num_hands=2, model_complexity=0, min_detection_confidence=MIN_HAND_CONFIDENCE
    )
)

_SELFIE = Shared(lambda solutions: solutions.selfie_segmentation.SelfieSegmentation(model_selection=0))


def detect_faces(image: Picture) -> list[FaceBox]:
    """Faces of an image [h, w, 3], biggest first, found at short and at long range, without duplicates."""
    height, width = image.shape[:2]
    found: list[FaceBox] = []
    for detector in _DETECTORS:
        for detection in detector.process(image).detections or ():
            box = detection.location_data.relative_bounding_box
            found.append(
                FaceBox(box.xmin * width, box.ymin * height, box.width * width, box.height * height, detection.score[0])
            )
    kept: list[FaceBox] = []
    for face in sorted(found, key=lambda face: -face.score):
        if all(face.overlap(other) < 0.4 for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.width * face.height)


def detect_landmarks(image: Picture) -> FaceLandmarks | None:
    """Landmarks of the most visible face.

    Args:
        image: [h, w, 3] uint8 RGB; works best where the face is about a third of the width or more.

    Returns:
        [478, 3] float32: x, y in pixels (centre of the first pixel at 0.5), z in the same scale, smaller is nearer;
        None without a face.
    """
    return points_of(_FACE_MESH.process(image), image)


def points_of(answer: Any, image: Picture) -> Float32[np.ndarray, "n 3"] | None:
    """The first face's landmarks of a face mesh's answer to an image, as `detect_landmarks` gives them."""
    height, width = image.shape[:2]
    if not answer.multi_face_landmarks:
        return None
    points = answer.multi_face_landmarks[0].landmark
    return np.array([[p.x * width, p.y * height, p.z * width] for p in points], np.float32)


def detect_hands(image: Picture) -> list[Float[NDArray[np.float32], "21 2"]]:
    """Landmarks [21, 2] in pixels of each hand in an image [h, w, 3]: the wrist, then four a finger, thumb first."""
    height, width = image.shape[:2]
    found = _HANDS.process(image).multi_hand_landmarks or ()
    return [np.array([[p.x * width, p.y * height] for p in hand.landmark], np.float32) for hand in found]


def landmarks_in_window(
    image: Picture, left: float, top: float, size: float, resolution: int = 768
) -> FaceLandmarks | None:
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


def face_width(points: Float[np.ndarray, "n d"]) -> float:
    """Width of the surface landmarks' bounding box, pixels."""
    return float(np.ptp(points[:N_SURFACE, 0]))


def person_probability(image: Picture) -> SoftMask:
    """Probability [h, w] in [0, 1] that each pixel belongs to the person, coarse (the network sees 256 × 256)."""
    return np.asarray(_SELFIE.process(image).segmentation_mask, np.float32)
