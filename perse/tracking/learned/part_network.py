"""Network that corrects the part masks: small, it says where the colour models of this one picture err.

It sees the first estimate of the colour models beside the features of mediapipe's person network
(`perse.tracking.learned.person_features`), the picture's colours and where the face is, and adds to the estimate's
logarithm: an untrained network leaves the estimate as it is. It works at 128 pixels, so it moves whole pieces from one
part to another; edges stay those of the colour models and the matte.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from torch import Tensor, nn

from perse.shapes import FaceLandmarks, Picture
from perse.tracking import landmarks as marks
from perse.tracking.colors import to_lab
from perse.tracking.frame import FaceCoordinates
from perse.tracking.kinds import PixelKind
from perse.tracking.learned.person_features import COARSE, DEEP, FINE, MIDDLE, SHALLOW, person_features, person_network
from perse.tracking.polygons import landmark_mask

Floats = NDArray[np.float32]

WORK_PX = 128
LEAST = 0.02
"""The estimate's probabilities are kept above this, so that a strong reason can overrule a certain error."""


@dataclass(frozen=True)
class PartInputs:
    """Inputs of the network, each [b, c, s, s].

    Attributes:
        fine: 128 px, 48 channels, the last six the estimate's probabilities.
        middle, coarse, deep: the person network's features at 64, 32 and 16 px.
    """

    fine: Float[Tensor, "b 48 128 128"]
    middle: Float[Tensor, "b _ 64 64"]
    coarse: Float[Tensor, "b _ 32 32"]
    deep: Float[Tensor, "b _ 16 16"]

    @staticmethod
    def of(image: Picture, landmarks_px: FaceLandmarks, estimate: Float32[np.ndarray, "k a b"]) -> PartInputs:
        """Inputs of one picture [h, h, 3] with the colour models' probabilities [6, 128, 128]."""
        features = person_features(image)
        network = person_network()
        person = F.interpolate(features[network.output], size=WORK_PX, mode="area")
        maps = np.concatenate([_colors(image), _places(landmarks_px, image.shape[0]), estimate]).astype(np.float32)
        shown = [features[SHALLOW], features[FINE].clamp(max=8), person, torch.from_numpy(maps)[None]]
        return PartInputs(torch.cat(shown, 1), features[MIDDLE], features[COARSE], features[DEEP])


def estimate_of(shares: Float32[np.ndarray, "k h w"]) -> Float32[np.ndarray, "k a b"]:
    """Probabilities at the network's size [6, 128, 128] of the colour models' shares [6, h, w]."""
    small = np.stack([cv2.resize(layer, (WORK_PX, WORK_PX), interpolation=cv2.INTER_AREA) for layer in shares])
    return np.asarray(small / np.maximum(small.sum(0), 1e-6), np.float32)


def _colors(image: Picture) -> Float32[np.ndarray, "3 a b"]:
    small = cv2.resize(image, (WORK_PX, WORK_PX), interpolation=cv2.INTER_AREA)
    lab = to_lab(np.asarray(small, np.uint8)) / np.array([50, 40, 40], np.float32)
    return np.asarray(lab.transpose(2, 0, 1) - np.array([1, 0, 0], np.float32)[:, None, None], np.float32)


def _places(landmarks_px: NDArray[np.float32], size_px: int) -> Floats:
    """Where the face is [6, 128, 128]: coordinates in face widths, the contours of face and lips, chin and brows."""
    points = landmarks_px * np.float32(WORK_PX / size_px)
    shape = (WORK_PX, WORK_PX)
    frame = FaceCoordinates.of(points, shape)
    face = landmark_mask(points, marks.FACE_OVAL, shape)
    lips = landmark_mask(points, marks.LIPS_OUTER, shape)
    return np.stack([frame.across, np.abs(frame.across), frame.down, frame.down - frame.chin, face, lips])


class _Block(nn.Module):
    """A depthwise and two pointwise convolutions, added to what came in."""

    def __init__(self, channels: int, size: int = 5) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels)
        self.norm = nn.GroupNorm(8, channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return values + self.narrow(F.hardswish(self.widen(self.norm(self.depthwise(values)))))


class PartNetwork(nn.Module):
    """U-Net of four levels, about 120 000 weights."""

    WIDTHS = (16, 40, 56, 64)
    SEEN = (48, 16, 24, 32)
    """Channels of `PartInputs`."""

    def __init__(self) -> None:
        super().__init__()
        below = (0, *self.WIDTHS[:-1])
        self.enter = nn.ModuleList(
            nn.Conv2d(seen + under, width, 1) for seen, under, width in zip(self.SEEN, below, self.WIDTHS, strict=True)
        )
        self.down = nn.ModuleList([nn.Hardswish(), *(_Block(width) for width in self.WIDTHS[1:])])
        self.rise = nn.ModuleList(
            nn.Conv2d(upper, width, 1) for upper, width in zip(self.WIDTHS[1:], self.WIDTHS[:-1], strict=True)
        )
        self.up = nn.ModuleList(_Block(width, 3 if level == 0 else 5) for level, width in enumerate(self.WIDTHS[:-1]))
        self.head = nn.Conv2d(self.WIDTHS[0], len(PixelKind), 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, inputs: PartInputs) -> Float[Tensor, "n k a b"]:
        """Log-odds of the kinds [b, 6, 128, 128], up to a constant."""
        levels: list[Tensor] = []
        seen = (inputs.fine, inputs.middle, inputs.coarse, inputs.deep)
        for number, (maps, enter, block) in enumerate(zip(seen, self.enter, self.down, strict=True)):
            stacked = maps if number == 0 else torch.cat([maps, F.avg_pool2d(levels[-1], 2)], 1)
            levels.append(block(enter(stacked)))
        values = levels[-1]
        for level in reversed(range(len(self.rise))):
            larger = F.interpolate(self.rise[level](values), scale_factor=2, mode="bilinear", align_corners=False)
            values = self.up[level](levels[level] + larger)
        estimate = inputs.fine[:, -len(PixelKind) :].clamp(min=LEAST)
        return estimate.log() + self.head(values)
