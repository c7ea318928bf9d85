"""Keypoints of every frame: projected from the head that performs the motion, or found in pictures of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from scipy.spatial.transform import Rotation
from torch import Tensor

from perse.errors import GenerationError
from perse.geometry import Camera
from perse.head import HeadModel, Joint
from perse.shapes import Picture
from perse.synthesis.production.keypoints import (
    AuxKeypoints,
    DwposeKeypointsConfig,
    OpenposeKeypointsConfig,
    draw_landmarks,
)

N_LANDMARKS = 478

BODY_WEIGHT = 0.95
"""Vertices that follow the root joint at least so much are the body's."""


class KeypointMaps(Protocol):
    """Drawer of the keypoints of one frame."""

    def draw(
        self, vertices: Float[Tensor, "v 3"], camera: Camera, picture: Picture | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Picture of the keypoints of a frame.

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
    """Configuration of keypoints from the head model's landmarks, in OpenPose's look. No weights, and the same in
    training and animation."""

    def build(self, head: HeadModel) -> KeypointMaps:
        return LandmarkKeypointMaps(head)


@dataclass(frozen=True, kw_only=True)
class PictureKeypointMapsConfig:
    """Configuration of keypoints that controlnet-aux's DWPose or OpenPose sees in pictures of the motion (P A.3.2 uses
    DWPose)."""

    detector: DwposeKeypointsConfig | OpenposeKeypointsConfig
    """Which detector."""

    def build(self, head: HeadModel) -> KeypointMaps:
        """Drawer with its detector in memory.

        Raises:
            MissingWeightsError: the detector's package or weights are not there.
        """
        return PictureKeypointMaps(self.detector.build())


class LandmarkKeypointMaps:
    """Drawer of the head model's landmarks. Neck and shoulders are those of the same head looking ahead, placed by what
    of the mesh follows the body alone: a face that turns leaves its shoulders where they are."""

    def __init__(self, head: HeadModel) -> None:
        self._head = head
        self._body = torch.nonzero(head.skinning_weights[:, Joint.GLOBAL] > BODY_WEIGHT)[:, 0]

    def draw(
        self, vertices: Float[Tensor, "v 3"], camera: Camera, picture: Picture | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """See `KeypointMaps.draw`."""
        return draw_landmarks(
            projected_landmarks(self._head, vertices, camera),
            camera.width,
            ahead_px=projected_landmarks(self._head, self._ahead(vertices), camera) if len(self._body) > 2 else None,
        )

    def _ahead(self, vertices: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3"]:
        """The head at rest [v, 3] on the body of a posed one (a rigid fit, Kabsch 1976)."""
        rest, posed = (points[self._body].double() for points in (self._head.template, vertices))
        middles = rest.mean(0), posed.mean(0)
        turn, _ = Rotation.align_vectors((posed - middles[1]).numpy(), (rest - middles[0]).numpy())
        turned = turn.apply((self._head.template.double() - middles[0]).numpy())
        return torch.from_numpy(turned).to(vertices.dtype) + middles[1].to(vertices.dtype)


class PictureKeypointMaps:
    """Drawer of keypoints that a detector finds in pictures; see `PictureKeypointMapsConfig`."""

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
