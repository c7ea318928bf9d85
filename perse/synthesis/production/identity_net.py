"""Face descriptors by a network that the user supplies (ArcFace and the like), as ONNX or TorchScript.

No such weights are in our table: the public ones forbid commercial use or say nothing. Without a file the screen uses
dlib's descriptor, which comes in a pip package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32

from perse.errors import MissingWeightsError
from perse.identity import FaceEmbedder
from perse.shapes import FaceLandmarks, Picture, SquarePicture
from perse.tracking import landmarks as marks

_TEMPLATE = np.array(
    [[0.3419, 0.4616], [0.6565, 0.4598], [0.5002, 0.6405], [0.3710, 0.8246], [0.6315, 0.8232]], np.float32
)
"""Where eyes, nose tip and mouth corners (picture's left first) lie in an aligned face of ArcFace's convention."""


@dataclass(frozen=True, kw_only=True)
class NetworkEmbedderConfig:
    """Configuration of a descriptor network: aligned faces [1, 3, s, s] in, [1, d] out."""

    file: Path
    """.onnx, or a TorchScript archive."""
    size_px: int = 112
    """s."""
    mean: float = 127.5
    """Subtracted from 0…255."""
    std: float = 127.5
    """Divided by afterwards."""
    bgr: bool = False
    """Whether it wants blue first."""

    def build(self) -> FaceEmbedder:
        return NetworkEmbedder(self)


class NetworkEmbedder:
    """Embedder by a network that the user supplies. Descriptors have unit length: distance² = 2 − 2 cos."""

    def __init__(self, config: NetworkEmbedderConfig) -> None:
        """
        Raises:
            MissingWeightsError: no such file, or a file of another kind.
        """
        self._config = config
        self._run = _onnx(config.file) if config.file.suffix.lower() == ".onnx" else _torchscript(config.file)

    def embed(self, image: Picture) -> Float32[np.ndarray, " width"] | None:
        """See `FaceEmbedder.embed`; the length is the network's."""
        from perse.tracking import detect_landmarks

        found = detect_landmarks(image)
        if found is None:
            return None
        face = aligned(image, found, self._config.size_px).astype(np.float32)
        ready = (face[..., ::-1] if self._config.bgr else face) - np.float32(self._config.mean)
        blob = np.ascontiguousarray((ready / np.float32(self._config.std)).transpose(2, 0, 1)[None], np.float32)
        descriptor = np.asarray(self._run(blob), np.float32).reshape(-1)
        return descriptor / max(float(np.linalg.norm(descriptor)), 1e-9)


def aligned(image: Picture, landmarks_px: FaceLandmarks, size_px: int) -> SquarePicture:
    """The face turned and scaled so that its five points lie on the template."""
    mouth = sorted(marks.MOUTH_CORNERS, key=lambda i: float(landmarks_px[i, 0]))
    eyes = (landmarks_px[marks.RIGHT_IRIS_CENTER, :2], landmarks_px[marks.LEFT_IRIS_CENTER, :2])
    points = np.stack([*eyes, landmarks_px[marks.NOSE_TIP, :2], *(landmarks_px[i, :2] for i in mouth)])
    matrix, _ = cv2.estimateAffinePartial2D(points.astype(np.float32), _TEMPLATE * size_px, method=cv2.LMEDS)
    return np.asarray(cv2.warpAffine(image, matrix, (size_px, size_px), flags=cv2.INTER_AREA), np.uint8)


def _onnx(file: Path) -> Any:
    """A function from blobs to outputs; OpenCV reads ONNX itself, so no runtime is needed."""
    if not file.is_file():
        raise MissingWeightsError(f"there is no file {file}; give an ONNX network, or leave it out to use dlib")
    try:
        net = cv2.dnn.readNetFromONNX(str(file))
    except cv2.error as error:
        raise MissingWeightsError(
            f"OpenCV cannot read {file} as ONNX: {str(error).strip().splitlines()[-1]}"
        ) from error

    def run(blob: Float32[np.ndarray, "b c h w"]) -> Any:
        net.setInput(blob)
        return net.forward()

    return run


def _torchscript(file: Path) -> Any:
    import torch

    from perse.synthesis.production.segmenter import load_torchscript

    model = load_torchscript(file, torch.device("cpu"))

    def run(blob: Float32[np.ndarray, "b c h w"]) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(blob)).numpy()

    return run
