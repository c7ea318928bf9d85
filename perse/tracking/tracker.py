"""Tracker of a photograph's head."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.data import TrackedPortrait
from perse.errors import PortraitError
from perse.head import HeadModel, Joint
from perse.shapes import FaceLandmarks, Picture, SquarePicture
from perse.tracking.crop import Crop, CropConfig, crop_portrait, end_softly
from perse.tracking.detection import face_width, landmarks_in_window
from perse.tracking.ears import EarConfig, align_ears
from perse.tracking.fit import HeadFit, fit_head
from perse.tracking.human_face import human_score
from perse.tracking.landmark_problem import FitConfig
from perse.tracking.landmarks import N_SURFACE
from perse.tracking.learned.parser import LearnedParser
from perse.tracking.open_mouth import lowered_lip
from perse.tracking.orientation import lean_of, upright
from perse.tracking.parser import FaceParser
from perse.tracking.residual import ResidualConfig
from perse.tracking.selection import SelectionConfig, choose_face, too_small, washed_out
from perse.tracking.wording import above

Image = NDArray[np.uint8]

log = logging.getLogger(__name__)

WINDOWS = (2.1, 2.3, 2.5, 2.7)
"""Sizes of the magnified windows, in face widths, whose landmarks are averaged: each has its own sub-pixel error."""

BEYOND_WIDTHS = 0.02
"""A landmark counts as beyond the picture's edge when it lies this far outside, in face widths: less is its error."""
CROWN_WIDTHS = 0.3
"""The crown stands this far or more above the face's landmarks, in face widths."""


class HeadTracker(Protocol):
    """Tracker that finds the head in a photograph."""

    def track(self, image: Picture, *, face: int | None = None) -> TrackedPortrait:
        """Tracked portrait of one face of a picture [h, w, 3] uint8 RGB.

        Args:
            face: which one, counted from 1 at the picture's left; None where there is only one.

        Raises:
            PortraitError: no face, several without a choice, too small, too dark, turned away.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class MediapipeTrackerConfig:
    """Configuration of the tracker: everything that decides what it returns; part of the identity's key."""

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


@dataclass(frozen=True)
class LocatedFace:
    """Window of the photograph around a face: the crop, and the landmarks [478, 3] in its pixels."""

    crop: Crop
    landmarks_px: Float32[NDArray[np.float32], "478 3"]


class MediapipeTracker:
    """Tracker by mediapipe's landmarks, our own fit and our own part masks. Deterministic.

    Args:
        config: see there.
        head_model: with embedded landmarks.
        parser: part masks; by default colour models and the network that comes with the package.
    """

    def __init__(self, config: MediapipeTrackerConfig, head_model: HeadModel, parser: FaceParser | None = None) -> None:
        self._config = config
        self._model = head_model
        self._parser = parser or LearnedParser()

    def track(self, image: Picture, *, face: int | None = None) -> TrackedPortrait:
        """See `HeadTracker.track`."""
        located = self.locate(image, face=face)
        crop, landmarks = located.crop, located.landmarks_px
        size = self._config.crop.size_px
        fit = fit_head(self._model, landmarks, size, size, self._config.fit, self._config.residual)
        self._check_turn(fit, landmarks)
        self._check_fit(fit, face_width(landmarks))
        self._check_human(fit, crop.image, landmarks)
        masks = self._parser.parse(crop.image, landmarks, inside=crop.inside)
        masks = end_softly(masks, crop.inside, face_width(landmarks))
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

    def locate(self, image: Picture, *, face: int | None = None) -> LocatedFace:
        """Window and landmarks of a face: the first half of `track`, without parts and fit. Refuses what it refuses."""
        _check_image(image)
        image = upright(image)
        box = choose_face(image, face, self._config.selection)
        points = _precise_landmarks(image, box.left + box.width / 2, box.top + box.height / 2, 2.0 * box.width)
        self._check_size(points)
        self._check_inside(points, image)
        crop = crop_portrait(image, points, self._config.crop)
        return LocatedFace(crop, lowered_lip(crop.image, crop.points(points)))

    def _check_size(self, points: NDArray[np.float32]) -> None:
        width = face_width(points)
        if width < self._config.selection.min_face_px:
            raise too_small(width, self._config.selection)

    def _check_inside(self, points: NDArray[np.float32], image: Image) -> None:
        """Refuse half faces; say so when only the crown is cut."""
        width, face = face_width(points), points[:N_SURFACE, :2]
        beyond = np.maximum(-face, face - np.array(image.shape[1::-1], np.float32)).max(1) / width
        share = float((beyond > BEYOND_WIDTHS).mean())
        if share > self._config.selection.max_outside_share:
            raise PortraitError(
                f"{share:.0%} of the face lie beyond the picture's edge; give a picture that shows the whole face"
            )
        if face[:, 1].min() < CROWN_WIDTHS * width:
            log.warning("the crown of the head lies beyond the picture's upper edge: that part is made up")

    def _check_fit(self, fit: HeadFit, width_px: float) -> None:
        limit, error = self._config.selection.max_fit_error, fit.rms_before_offsets_px / width_px
        if error > limit:
            away = above(100 * error, 1)
            raise PortraitError(
                f"this is not a human face, or one that cannot be read: the best head is {away}% of the face's"
                f" width off, at most {limit:.1%} can be used (an animal, a mask?); give a picture of a person"
            )

    def _check_human(self, fit: HeadFit, image: SquarePicture, landmarks: FaceLandmarks) -> None:
        limits = self._config.selection
        if fit.rms_before_offsets_px / face_width(landmarks) <= limits.sure_fit_error:
            return
        if human_score(image, landmarks) < limits.least_human_score:
            raise PortraitError(
                "this is probably not a human face: it fits a human head badly, and a second detector sees none "
                "(an animal, a mask, a very blurred face?); give a sharp picture of a person"
            )

    def _check_turn(self, fit: HeadFit, landmarks: NDArray[np.float32]) -> None:
        rotation = fit.head.pose[Joint.NECK].numpy()
        yaw = float(np.degrees(rotation[1]))
        limit = self._config.selection.max_yaw_deg
        if abs(yaw) > limit:
            raise PortraitError(
                f"the head is turned by {above(abs(yaw))} degrees, at most {limit:.0f} can be used; "
                "give a picture that looks towards the camera"
            )
        lean, most = abs(lean_of(landmarks)), self._config.selection.max_roll_deg
        if lean > most:
            raise PortraitError(
                f"the head lies on its side, by {above(lean)} degrees; at most {most:.0f} can be used: turn the picture"
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
        window = image[max(int(y - size / 4), 0) : int(y + size / 4), max(int(x - size / 4), 0) : int(x + size / 4)]
        reason = "it is turned to the side, covered, blurred or an animal's"
        if window.size and washed_out(window):
            reason = "it is so bright that they are lost in white"
        raise PortraitError(
            f"a face was detected but its features cannot be found: {reason}; "
            "give a sharp picture of a person who looks towards the camera"
        )
    found = []
    for widths in WINDOWS:
        side = widths * face_width(points)
        centre = (points[:N_SURFACE, :2].min(0) + points[:N_SURFACE, :2].max(0)) / 2
        again = landmarks_in_window(image, centre[0] - side / 2, centre[1] - 0.48 * side, side, 1024)
        if again is not None:
            found.append(again)
    return np.mean(found, 0).astype(np.float32) if found else points
