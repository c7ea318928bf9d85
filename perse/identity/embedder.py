"""Face descriptors: 128 numbers by dlib's recognition network, whose weights come inside a pip package.

Only the network and the five-point predictor are used; the package's 68-point predictor was trained on data that
excludes commercial use (docs/reference.md#faces-packages-licences).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy.typing import NDArray

from perse.errors import MissingWeightsError
from perse.shapes import Picture

Embedding = Float32[NDArray[np.float32], " width"]


SAME_PERSON_DISTANCE = 0.6
"""Two pictures closer than this show the same person (99.4 % on LFW, by the network's author)."""


class FaceEmbedder(Protocol):
    """Encoder of the face in a picture: whose it is."""

    def embed(self, image: Picture) -> Embedding | None:
        """Descriptor [128] of the most certain face of [h, w, 3] uint8 RGB, or None without a face."""
        ...


def identity_distance(a: Embedding, b: Embedding) -> float:
    """Euclidean distance of two descriptors; below `SAME_PERSON_DISTANCE` they are one person."""
    return float(np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64)))


@dataclass(frozen=True, kw_only=True)
class DlibEmbedder:
    """dlib's face recognition network. Deterministic; about 0.1 s a picture on one core.

    Pictures are brought to a size at which the frontal detector finds faces and the descriptor, which depends on the
    resolution a little, sees all of them alike.
    """

    work_px: int = 384
    """Longer side to which a picture is resized before detection."""
    jitters: int = 1
    """Randomly distorted copies that dlib averages; 1 means the picture itself only."""
    least_score: float = 0.0
    """Score of the detector that a face must reach. Below 0 it takes textures for faces: only for pictures that are
    known to show one, such as the surroundings of a face that somebody else found."""

    def embed(self, image: Picture) -> Float32[np.ndarray, "128"] | None:
        """Descriptor of the most certain face; see `FaceEmbedder.embed`.

        Raises:
            MissingWeightsError: dlib or its models are not installed.
        """
        detector, predictor, network = _models()
        picture = _resized(image, self.work_px)
        box = _surest(detector, picture, self.least_score)
        if box is None:
            return None
        shape = predictor(picture, box)
        return np.array(network.compute_face_descriptor(picture, shape, self.jitters), np.float32)


def face_points(image: Picture) -> Float64[np.ndarray, "5 2"] | None:
    """dlib's five points [5, 2] of the most certain face in [h, w, 3] uint8 RGB, pixel indices; None without a face.

    Raises:
        MissingWeightsError: dlib or its models are not installed.
    """
    detector, predictor, _ = _models()
    picture = _resized(image, DlibEmbedder().work_px)
    box = _surest(detector, picture, 0.0)
    if box is None:
        return None
    points = np.array([(part.x, part.y) for part in predictor(picture, box).parts()], np.float64)
    scale = np.array([image.shape[1] / picture.shape[1], image.shape[0] / picture.shape[0]])
    return (points + 0.5) * scale - 0.5


def _resized(image: Picture, longer_px: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    scale = longer_px / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=shrinking), np.uint8)


def _surest(detector: Any, picture: Picture, least_score: float) -> Any | None:
    """The face with the highest score; the largest would sometimes be a fold in a sleeve."""
    for upsamplings in (0, 1):
        boxes, scores, _ = detector.run(picture, upsamplings, least_score)
        if boxes:
            return boxes[int(np.argmax(scores))]
    return None


def model_folder() -> Path:
    """Folder in which ``face_recognition_models`` keeps its files. The package itself is not imported: it needs
    pkg_resources.

    Raises:
        MissingWeightsError: not installed.
    """
    spec = find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise MissingWeightsError(
            "the identity distance needs dlib's models, which are not installed: pip install face_recognition_models"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "models"


@lru_cache(maxsize=1)
def _models() -> tuple[Any, Any, Any]:
    try:
        import dlib
    except ImportError:
        raise MissingWeightsError(
            "the identity distance needs dlib, which is not installed: pip install dlib-bin"
        ) from None
    folder = model_folder()
    files = [folder / "shape_predictor_5_face_landmarks.dat", folder / "dlib_face_recognition_resnet_model_v1.dat"]
    for file in files:
        if not file.is_file():
            raise MissingWeightsError(f"{file.name} is not in {folder.parent.name}: reinstall face_recognition_models")
    return (
        dlib.get_frontal_face_detector(),
        dlib.shape_predictor(str(files[0])),
        dlib.face_recognition_model_v1(str(files[1])),
    )
