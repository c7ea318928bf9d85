"""The face of a found person, tracked by the head's tracker in a window of the photograph."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.body.fitting.found import FoundPerson
from perse.data import TrackedPortrait
from perse.errors import PortraitError
from perse.head.embedded import embedded_head
from perse.shapes import Picture
from perse.tracking import MediapipeTrackerConfig

log = logging.getLogger(__name__)

WINDOW_WIDTHS = 4.5


@dataclass(frozen=True)
class TrackedFace:
    """A tracked face.

    Attributes:
        portrait: the tracked crop.
        landmarks_px: [478, 2], pixels of the photograph.
        hair: [h, w] float32 in [0, 1], the crop's hair and headwear.
        left, top, scale: pixels of the photograph to pixels of the crop: (p − (left, top)) · scale.
    """

    portrait: TrackedPortrait
    landmarks_px: Float32[NDArray[np.float32], "478 2"]
    hair: Float32[NDArray[np.float32], "h w"]
    left: float
    top: float
    scale: float

    @classmethod
    def of(cls, portrait: TrackedPortrait, left: float, top: float, scale: float) -> TrackedFace:
        """A tracked crop at its place."""
        landmarks = portrait.landmarks_px[:, :2] / scale + np.array([left, top], np.float32)
        hair = portrait.masks[Part.HAIR] + portrait.masks[Part.HEADWEAR]
        return cls(portrait, landmarks.astype(np.float32), hair.astype(np.float32), left, top, scale)

    def in_crop(self, photo_px: Float[NDArray[np.float32], "n 2"]) -> Float[NDArray[np.float32], "n 2"]:
        """Points [n, 2] of the photograph in pixels of the crop."""
        return np.asarray((photo_px - np.array([self.left, self.top], np.float32)) * np.float32(self.scale))


def face_size(found: FoundPerson) -> float:
    """Rough width of the face, pixels: ears apart, or three times the eyes' distance where it is turned."""
    points = found.landmarks_px
    ears, eyes = float(np.linalg.norm(points[7] - points[8])), float(np.linalg.norm(points[2] - points[5]))
    return max(ears, 2.2 * eyes, 8.0)


def track_face(image: Picture, found: FoundPerson) -> TrackedFace | str:
    """Tracked face, or why it could not be tracked."""
    half = WINDOW_WIDTHS / 2 * face_size(found)
    middle = found.landmarks_px[0]
    left, top = (max(0, int(place - half)) for place in middle)
    right, bottom = int(middle[0] + half), int(middle[1] + half)
    window = np.ascontiguousarray(image[top:bottom, left:right])
    tracker = MediapipeTrackerConfig().build(embedded_head())
    try:
        located = tracker.locate(window)
        portrait = tracker.track(window)
    except PortraitError as error:
        log.info("the face is not tracked: %s", error)
        return str(error)
    crop = located.crop
    return TrackedFace.of(portrait, crop.left + left, crop.top + top, crop.scale)
