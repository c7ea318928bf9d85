"""Keypoints of every frame: projected from the head that performs the motion, or found in pictures of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from perse.errors import GenerationError
from perse.geometry import Camera
from perse.head import HeadModel
from perse.shapes import Picture
from perse.synthesis.production.keypoints import (
    AuxKeypoints,
    DwposeKeypointsConfig,
    OpenposeKeypointsConfig,
    draw_landmarks,
)

N_LANDMARKS = 478


class KeypointMaps(Protocol):
    """Draws the keypoints of one frame."""

    def draw(
        self, vertices: Float[Tensor, "v 3"], camera: Camera, picture: Picture | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """
        Args:
            vertices: [v, 3] of the posed head, metres.
            camera: of the map to draw.
            picture: [h, w, 3] of the frame, if there is one.

        Returns:
            [height, width, 3] uint8, keypoints on black.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LandmarkKeypointMapsConfig:
    """The head model's landmarks in OpenPose's look. No weights, and the same in training and animation."""

    def build(self, head: HeadModel) -> KeypointMaps:
        return LandmarkKeypointMaps(head)


@dataclass(frozen=True, kw_only=True)
class PictureKeypointMapsConfig:
    """What controlnet-aux's DWPose or OpenPose sees in pictures of the motion (P A.3.2 uses DWPose)."""

    detector: DwposeKeypointsConfig | OpenposeKeypointsConfig
    """Which detector."""

    def build(self, head: HeadModel) -> KeypointMaps:
        """
        Raises:
            MissingWeightsError: the detector's package or weights are not there.
        """
        return PictureKeypointMaps(self.detector.build())


class LandmarkKeypointMaps:
    """See `LandmarkKeypointMapsConfig`."""

    def __init__(self, head: HeadModel) -> None:
        self._head = head

    def draw(
        self, vertices: Float[Tensor, "v 3"], camera: Camera, picture: Picture | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """See `KeypointMaps.draw`."""
        return draw_landmarks(projected_landmarks(self._head, vertices, camera), camera.width)


class PictureKeypointMaps:
    """See `PictureKeypointMapsConfig`."""

    def __init__(self, detector: AuxKeypoints) -> None:
        self._detector = detector

    def draw(
        self, vertices: Float[Tensor, "v 3"], camera: Camera, picture: Picture | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """See `KeypointMaps.draw`."""
        if picture is None:
            raise GenerationError(
                "these keypoints are found in pictures, and this motion has none: give the animator a driver that "
                "films it, or use LandmarkKeypointMapsConfig()"
            )
        return self._detector.draw_picture(picture, camera.width)


def projected_landmarks(
    head: HeadModel, vertices: Float[Tensor, "v 3"], camera: Camera
) -> Float32[np.ndarray, "478 2"]:
    """Landmarks [478, 2] of a posed head in pixels of a camera; NaN for those that the model does not embed."""
    points = np.full((N_LANDMARKS, 2), np.nan, np.float32)
    points[head.landmark_ids.numpy()] = camera.project(head.landmarks(vertices))[0].numpy()
    return points
