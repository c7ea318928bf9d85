"""Picture of keypoints that makes a mask portrait stand like the input (Eq. 7).

It is drawn in the portrait's own crop, so that what is generated from it lies over the portrait pixel for pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.data import TrackedPortrait
from perse.data.tensor_files import load_tensors, tensors_of_pickle
from perse.errors import GenerationError, MissingWeightsError
from perse.shapes import FaceLandmarks, Picture
from perse.synthesis.production.model_store import Weights
from perse.tracking import landmarks as marks

_OPENPOSE = Weights(name="openpose")

OPENPOSE_FILES = {
    "Body": "body_pose_model.safetensors",
    "Hand": "hand_pose_model.safetensors",
    "Face": "facenet.safetensors",
}
"""By the name of controlnet-aux's class."""

Point = tuple[float, float]


class KeypointDrawer(Protocol):
    """Drawer of the keypoints of a portrait."""

    def draw(self, portrait: TrackedPortrait, size_px: int) -> UInt8[np.ndarray, "size size 3"]:
        """Picture [size, size, 3] uint8 RGB of the portrait's keypoints on black."""
        ...


@dataclass(frozen=True, kw_only=True)
class LandmarkKeypointsConfig:
    """Configuration of the tracked landmarks in OpenPose's look. No weights, and aligned by construction."""

    def build(self) -> KeypointDrawer:
        return LandmarkKeypoints()


@dataclass(frozen=True, kw_only=True)
class MediapipeKeypointsConfig:
    """Configuration of controlnet-aux's mediapipe face, for ControlNets that were trained on that look."""

    min_confidence: float = 0.5
    """Of the detection."""

    def build(self) -> KeypointDrawer:
        return MediapipeKeypoints(self)


@dataclass(frozen=True, kw_only=True)
class OpenposeKeypointsConfig:
    """Configuration of controlnet-aux's OpenPose: body, hands and face."""

    weights: Weights = _OPENPOSE
    """Its three networks as safetensors; `perse models fetch openpose` converts them."""

    def build(self) -> AuxKeypoints:
        return AuxKeypoints(_openpose(self.weights.locate()))


@dataclass(frozen=True, kw_only=True)
class DwposeKeypointsConfig:
    """Configuration of controlnet-aux's DWPose; needs mmpose, mmdet and mmcv, which this project does not install."""

    detector: Path
    """YOLOX checkpoint. mmpose reads pickles only: this one is refused if it holds more than tensors."""
    pose: Path
    """DWPose checkpoint; likewise."""

    def build(self) -> AuxKeypoints:
        return AuxKeypoints(_dwpose(self))


KeypointsConfig = LandmarkKeypointsConfig | MediapipeKeypointsConfig | OpenposeKeypointsConfig | DwposeKeypointsConfig


class LandmarkKeypoints:
    """Drawer of the tracked landmarks: the face as white dots, head and shoulders as OpenPose's coloured limbs."""

    def draw(self, portrait: TrackedPortrait, size_px: int) -> UInt8[np.ndarray, "size size 3"]:
        """See `KeypointDrawer.draw`."""
        return draw_landmarks(portrait.landmarks_px * (size_px / portrait.image.shape[1]), size_px)


def draw_landmarks(
    points_px: FaceLandmarks, size_px: int, *, ahead_px: FaceLandmarks | None = None
) -> UInt8[np.ndarray, "size size 3"]:
    """Picture [size, size, 3] of face landmarks [478, 2 or 3] in pixels of a square picture, in OpenPose's look on
    black.

    Points that are NaN (a head model that does not embed them) are left out, with the limbs that end there.

    Args:
        ahead_px: [478, 2 or 3], the same face if it looked ahead, which tells where neck and shoulders are; without it
            they are guessed from the face as it is turned.
    """
    canvas = np.zeros((size_px, size_px, 3), np.uint8)
    body = _body(points_px[:, :2])
    if ahead_px is not None:
        upright = _body(ahead_px[:, :2])
        body |= {name: upright[name] for name in ("neck", "right shoulder", "left shoulder")}
    for number, (start, end) in enumerate(_LIMBS):
        if np.isfinite([body[start], body[end]]).all():
            _limb(canvas, body[start], body[end], _PALETTE[number], size_px)
    for number, point in enumerate(body.values()):
        if np.isfinite(point).all():
            _dot(canvas, point, _PALETTE[number], max(2, size_px // 128))
    for point in points_px[list(_FACE_DOTS)]:
        if np.isfinite(point).all():
            _dot(canvas, (float(point[0]), float(point[1])), (255, 255, 255), max(1, size_px // 256))
    return canvas


class MediapipeKeypoints:
    """Drawer of mediapipe's face; see `MediapipeKeypointsConfig`."""

    def __init__(self, config: MediapipeKeypointsConfig) -> None:
        """
        Raises:
            MissingWeightsError: controlnet-aux or mediapipe is not installed.
        """
        self._detector = _aux("MediapipeFaceDetector")()
        self._confidence = config.min_confidence

    def draw(self, portrait: TrackedPortrait, size_px: int) -> UInt8[np.ndarray, "size size 3"]:
        """See `KeypointDrawer.draw`.

        Raises:
            GenerationError: no face.
        """
        drawn = self._detector(
            portrait.image,
            detect_resolution=max(size_px, 512),
            image_resolution=size_px,
            min_confidence=self._confidence,
            output_type="np",
        )
        return _checked(np.asarray(drawn), size_px)


class AuxKeypoints:
    """Drawer by a detector of controlnet-aux that draws body and face."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector

    def draw(self, portrait: TrackedPortrait, size_px: int) -> UInt8[np.ndarray, "size size 3"]:
        """See `KeypointDrawer.draw`.

        Raises:
            GenerationError: nobody was found.
        """
        return self.draw_picture(portrait.image, size_px)

    def draw_picture(self, image: Picture, size_px: int) -> UInt8[np.ndarray, "size size 3"]:
        """Picture of the keypoints of a square picture [h, w, 3] that nobody has tracked."""
        drawn = self._detector(
            image, detect_resolution=size_px, image_resolution=size_px, include_face=True, output_type="np"
        )
        return _checked(np.asarray(drawn), size_px)


def _checked(drawn: NDArray[Any], size_px: int) -> UInt8[np.ndarray, "size size 3"]:
    if not drawn.any():
        raise GenerationError("the keypoint detector found nobody in the portrait; use LandmarkKeypointsConfig")
    return np.asarray(cv2.resize(drawn[..., :3], (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)


def _aux(name: str) -> Any:
    """A class of controlnet-aux.

    Raises:
        MissingWeightsError: the package, or one that the class needs, is not installed.
    """
    try:
        return getattr(import_module("controlnet_aux"), name)
    except ImportError as error:
        raise MissingWeightsError(
            f"{name} of controlnet-aux cannot be imported ({error}): pip install controlnet-aux"
        ) from error


def _openpose(folder: Path) -> Any:
    """The detector with weights from safetensors.

    Raises:
        MissingWeightsError: a file holds something else than this network.
    """
    detector = _aux("OpenposeDetector")
    parts = []
    for part, file in OPENPOSE_FILES.items():
        network = getattr(import_module(f"controlnet_aux.open_pose.{part.lower()}"), part)
        try:
            parts.append(network(_as_checkpoint(load_tensors(folder / file))))
        except (KeyError, RuntimeError) as error:
            raise MissingWeightsError(f"{folder / file} does not hold OpenPose's {part.lower()} network") from error
    return detector(*parts)


def _as_checkpoint(tensors: dict[str, Any]) -> BytesIO:
    """What controlnet-aux wants to open: a torch checkpoint, written here and now."""
    import torch

    checkpoint = BytesIO()
    torch.save(tensors, checkpoint)
    checkpoint.seek(0)
    return checkpoint


def _dwpose(config: DwposeKeypointsConfig) -> Any:
    for file in (config.detector, config.pose):
        if not file.is_file():
            raise MissingWeightsError(f"DWPose needs {file}; get it, or use LandmarkKeypointsConfig")
        tensors_of_pickle(file)
    try:
        return _aux("DWposeDetector")(det_ckpt=str(config.detector), pose_ckpt=str(config.pose))
    except ImportError as error:
        raise MissingWeightsError(
            f"DWPose needs mmpose, mmdet and mmcv ({error}); install them, or use LandmarkKeypointsConfig"
        ) from error


_FACE_DOTS = tuple(
    dict.fromkeys(
        (
            *marks.JAW_LINE, *marks.LEFT_BROW_UPPER, *marks.RIGHT_BROW_UPPER, *marks.NOSE_BRIDGE, *marks.NOSE_WINGS,
            *marks.LEFT_EYE[::2], *marks.RIGHT_EYE[::2], *marks.LIPS_OUTER[::2], *marks.LIPS_INNER[::2],
            marks.LEFT_IRIS_CENTER, marks.RIGHT_IRIS_CENTER,
        )
    )
)  # fmt: skip
"""About the 70 dots of OpenPose's face."""

_LIMBS = (
    ("neck", "right shoulder"), ("neck", "left shoulder"), ("neck", "nose"), ("nose", "right eye"),
    ("right eye", "right ear"), ("nose", "left eye"), ("left eye", "left ear"),
)  # fmt: skip
_PALETTE = (
    (255, 0, 0), (255, 85, 0), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""OpenPose's colours for these limbs, which ControlNets have learned; ours to draw, theirs by convention."""


def _body(points: FaceLandmarks) -> dict[str, Point]:
    """OpenPose's keypoints of head and shoulders; neck and shoulders by proportion, along the face's own axes."""
    right, left = points[marks.RIGHT_CHEEK], points[marks.LEFT_CHEEK]
    chin, forehead = points[marks.CHIN], points[marks.FOREHEAD]
    down, across = chin - forehead, left - right
    # The body stays upright when the head tilts: only half of the tilt is taken along.
    neck = chin + 0.45 * (0.5 * down + 0.5 * np.array([0, np.linalg.norm(down)], np.float32))
    half = 1.05 * (0.5 * across + 0.5 * np.array([np.linalg.norm(across), 0], np.float32))
    found = {
        "nose": points[marks.NOSE_TIP],
        "neck": neck,
        "right shoulder": neck - half,
        "left shoulder": neck + half,
        "right eye": points[marks.RIGHT_IRIS_CENTER],
        "left eye": points[marks.LEFT_IRIS_CENTER],
        "right ear": right,
        "left ear": left,
    }
    return {name: (float(point[0]), float(point[1])) for name, point in found.items()}


def _limb(canvas: Picture, start: Point, end: Point, color: tuple[int, int, int], size_px: int) -> None:
    """An ellipse along the bone, as OpenPose draws it, dimmed to 60 %."""
    middle = (round((start[0] + end[0]) / 2), round((start[1] + end[1]) / 2))
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    angle = float(np.degrees(np.arctan2(end[1] - start[1], end[0] - start[0])))
    dim = tuple(round(0.6 * channel) for channel in color)
    cv2.ellipse(canvas, middle, (round(length / 2), max(2, size_px // 128)), angle, 0, 360, dim, -1, cv2.LINE_AA)


def _dot(canvas: Picture, point: Point, color: tuple[int, int, int], radius_px: int) -> None:
    cv2.circle(canvas, (round(point[0]), round(point[1])), radius_px, color, -1, cv2.LINE_AA)
