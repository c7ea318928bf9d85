"""From a photograph to a tracked portrait."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perse.data import TrackedPortrait
from perse.errors import PortraitError
from perse.head import HeadModel, Joint
from perse.tracking.crop import CropConfig, crop_portrait
from perse.tracking.detection import face_width, landmarks_in_window
from perse.tracking.ears import EarConfig, align_ears
from perse.tracking.fit import HeadFit, fit_head
from perse.tracking.landmark_problem import FitConfig
from perse.tracking.landmarks import N_SURFACE
from perse.tracking.parser import FaceParser, ProceduralParser
from perse.tracking.residual import ResidualConfig
from perse.tracking.selection import SelectionConfig, choose_face

Image = NDArray[np.uint8]

WINDOWS = (2.1, 2.3, 2.5, 2.7)
"""Sizes of the magnified windows, in face widths, whose landmarks are averaged: each has its own sub-pixel error."""


class HeadTracker(Protocol):
    """Finds the head in a photograph."""

    def track(self, image: Image, *, face: int | None = None) -> TrackedPortrait:
        """Track one face of a picture [h, w, 3] uint8 RGB.

        Args:
            face: which one, counted from 1 at the picture's left; None where there is only one.

        Raises:
            PortraitError: no face, several without a choice, too small, too dark, turned away.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class MediapipeTrackerConfig:
    """Everything that decides what the tracker returns; part of the identity's key."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)
    """Which faces are accepted."""
    crop: CropConfig = field(default_factory=CropConfig)
    """Framing of the portrait."""
    fit: FitConfig = field(default_factory=FitConfig)
    """Penalties of the head fit."""
    residual: ResidualConfig = field(default_factory=ResidualConfig)
    """Smoothness of the identity's vertex offsets."""
    ears: EarConfig = field(default_factory=EarConfig)
    """How ears are brought to the photograph's."""

    def build(self, head: HeadModel) -> MediapipeTracker:
        return MediapipeTracker(self, head)


class MediapipeTracker:
    """mediapipe's landmarks, our own fit, our own part masks. Deterministic.

    Args:
        config: see there.
        head_model: with embedded landmarks.
        parser: part masks; the procedural one by default.
    """

    def __init__(self, config: MediapipeTrackerConfig, head_model: HeadModel, parser: FaceParser | None = None) -> None:
        self._config = config
        self._model = head_model
        self._parser = parser or ProceduralParser()

    def track(self, image: Image, *, face: int | None = None) -> TrackedPortrait:
        """See `HeadTracker.track`."""
        _check_image(image)
        box = choose_face(image, face, self._config.selection)
        points = _precise_landmarks(image, box.left + box.width / 2, box.top + box.height / 2, 2.0 * box.width)
        self._check_size(points)
        crop = crop_portrait(image, points, self._config.crop)
        landmarks = crop.points(points)
        size = self._config.crop.size_px
        fit = fit_head(self._model, landmarks, size, size, self._config.fit, self._config.residual)
        self._check_turn(fit)
        masks = self._parser.parse(crop.image, landmarks)
        head = align_ears(self._model, fit.head, fit.camera, masks, landmarks, self._config.ears)
        return TrackedPortrait(
            key=self._key(crop.image),
            image=crop.image,
            inside=crop.inside,
            landmarks_px=landmarks,
            masks=masks,
            head=head,
            camera=fit.camera,
            face_width_px=face_width(landmarks),
            fit_rms_px=fit.rms_px,
        )

    def _check_size(self, points: NDArray[np.float32]) -> None:
        width, least = face_width(points), self._config.selection.min_face_px
        if width < least:
            raise PortraitError(
                f"the face is {width:.0f} px wide, at least {least} px are needed; "
                "give a larger picture or a closer crop"
            )

    def _check_turn(self, fit: HeadFit) -> None:
        rotation = fit.head.pose[Joint.NECK].numpy()
        yaw = float(np.degrees(rotation[1]))
        limit = self._config.selection.max_yaw_deg
        if abs(yaw) > limit:
            raise PortraitError(
                f"the head is turned by {abs(yaw):.0f} degrees, at most {limit:.0f} can be used; "
                "give a picture that looks towards the camera"
            )

    def _key(self, crop: Image) -> str:
        """Hash of the pixels that are used and of everything that decides what is made of them."""
        digest = hashlib.sha256()
        digest.update(repr((self._config, self._parser, crop.shape, self._model.n_vertices)).encode())
        digest.update(crop.tobytes())
        return digest.hexdigest()[:32]


def _check_image(image: Image) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected uint8 [h, w, 3], got {image.dtype} {image.shape}")


def _precise_landmarks(image: Image, x: float, y: float, size: float) -> NDArray[np.float32]:
    """Landmarks in pixels of the photograph, averaged over several magnified windows around the face."""
    points = landmarks_in_window(image, x - size / 2, y - size / 2, size)
    if points is None:
        raise PortraitError(
            "a face was detected but its features cannot be found: it is turned to the side, covered or blurred; "
            "give a sharp picture that looks towards the camera"
        )
    found = []
    for widths in WINDOWS:
        side = widths * face_width(points)
        centre = (points[:N_SURFACE, :2].min(0) + points[:N_SURFACE, :2].max(0)) / 2
        again = landmarks_in_window(image, centre[0] - side / 2, centre[1] - 0.48 * side, side, 1024)
        if again is not None:
            found.append(again)
    return np.mean(found, 0).astype(np.float32) if found else points
