"""Driving pictures of LivePortrait: a head that performs the motion, and one at rest to compare them with.

Two sources: a clip that another animator films of the reference portrait along the shared motion (the default, since
its head parameters are exact), or a video of somebody whose motion was tracked by ``jobs/track.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from perse.data import TrackedPortrait
from perse.errors import InputError
from perse.head import HeadModel, HeadParameters, Joint
from perse.shapes import Picture
from perse.synthesis.production.liveportrait.crop import CropFraming, HeadCrop
from perse.synthesis.production.liveportrait.openness import Openness
from perse.synthesis.seams import AnimatorConfig, Shot
from perse.tracking.detection import detect_faces, landmarks_in_window
from perse.tracking.video_file import VideoFile, open_video

INPUT_PX = 256
"""Side of what F and M see."""
_LOOKS = 9
"""Frames of a video in which the face is looked for; its window stands still over their mean."""

_TURN_WEIGHT = 10.0
"""A tenth of a radian counts as much as a whole facial action: a smile that is missing is seen less than a tilt."""


@dataclass(frozen=True)
class DrivingPictures:
    """Pictures that the motion extractor M is given.

    Attributes:
        frames: [256, 256, 3] uint8 each, one a frame of the shot, in order.
        anchor: [256, 256, 3] uint8, the driver in the pose that the source has, or the nearest there is.
        openness: of the anchor's eyes and lips; None where the anchor is the source's own picture, so that nothing has
            to be brought into line.
    """

    frames: Iterator[UInt8[np.ndarray, "256 256 3"]]
    anchor: UInt8[np.ndarray, "256 256 3"]
    openness: Openness | None


class MotionDriver(Protocol):
    """Performer of the motion."""

    def drive(self, portrait: TrackedPortrait, shot: Shot, framing: CropFraming) -> DrivingPictures:
        """Driving pictures: the shot's motion, performed for this portrait. Deterministic."""
        ...


class DrivingConfig(Protocol):
    """Configuration that builds a driver."""

    def build(self, head: HeadModel) -> MotionDriver: ...


@dataclass(frozen=True, kw_only=True)
class RenderedDriving:
    """Driver that is the reference portrait itself, filmed by another animator.

    The anchor is the portrait's own pose and expression, so that source and driver agree in it, and what LivePortrait
    makes has the head parameters of the motion exactly, as far as M sees the same in both.
    """

    film: AnimatorConfig
    """Who films it: an animator without weights of its own."""
    size_px: int = 384
    """Width and height of its frames; M sees a window of them at 256."""

    def build(self, head: HeadModel) -> MotionDriver:
        return _RenderedDriver(self, head)


class _RenderedDriver:
    """See `RenderedDriving`."""

    def __init__(self, config: RenderedDriving, head: HeadModel) -> None:
        self._config = config
        self._animator = config.film.build(head)

    def drive(self, portrait: TrackedPortrait, shot: Shot, framing: CropFraming) -> DrivingPictures:
        """See `MotionDriver.drive`."""
        motion, own = shot.motion, portrait.head
        with_own = HeadParameters(
            motion.betas, motion.vertex_offsets, torch.cat([own.expression[None], motion.expression]),
            torch.cat([own.pose[None], motion.pose]),
        )  # fmt: skip
        numbers = np.arange(len(with_own), dtype=np.int32)
        clip = self._animator.animate(portrait, None, Shot(numbers, with_own, self._config.size_px))
        crop = HeadCrop.around(portrait.landmarks_px, framing).resized(self._config.size_px / len(portrait.image))
        anchor, *frames = (crop.cut(picture, INPUT_PX) for picture in clip.images)
        return DrivingPictures(iter(frames), anchor, None)


@dataclass(frozen=True, kw_only=True)
class VideoDriving:
    """Driver in a video. The shot's motion must be what ``jobs/track.py`` found in it: `Filming(motion=…)`.

    The anchor is the frame whose head parameters are nearest to the portrait's. What is left between the two stays as
    a constant difference between a clip and its head parameters, so a video should begin at rest, facing the camera.
    """

    video: Path
    """The file."""
    fps: float | None = None
    """Frames a second, as given to ``jobs/track.py``; the video's own if left out."""
    framing: CropFraming = field(default_factory=lambda: CropFraming(scale=2.2, up=0.1))
    """The window around the driver's face."""

    def build(self, head: HeadModel) -> MotionDriver:
        return _VideoDriver(self)


class _VideoDriver:
    """See `VideoDriving`."""

    def __init__(self, config: VideoDriving) -> None:
        self._config = config

    def drive(self, portrait: TrackedPortrait, shot: Shot, framing: CropFraming) -> DrivingPictures:
        """See `MotionDriver.drive`.

        Raises:
            InputError: the video cannot be read, shows no face, or has fewer frames than the motion.
        """
        video = open_video(self._config.video, fps=self._config.fps)
        anchor = nearest_frame(shot.motion, portrait.head)
        wanted = [int(number) for number in shot.frame_numbers]
        looks = {wanted[i] for i in np.linspace(0, len(wanted) - 1, _LOOKS).round().astype(int)} | {wanted[anchor]}
        seen = {number: picture for number, picture in _frames(video, sorted(looks))}
        points = {number: found for number, picture in seen.items() if (found := _landmarks(picture)) is not None}
        if wanted[anchor] not in points:
            raise InputError(
                f"{video.path.name} shows no face in frame {wanted[anchor]}, which the others are compared with; give "
                "a driving video of one face that looks towards the camera, and the motion tracked in it"
            )
        if len(points) < len(looks) / 2:
            raise InputError(
                f"{video.path.name} shows a face in {len(points)} of the {len(looks)} frames that were looked at; give "
                "a driving video in which the face is seen throughout"
            )
        crop = HeadCrop.around(np.mean(list(points.values()), 0), self._config.framing)
        pictures = (crop.cut(picture, INPUT_PX) for _, picture in _frames(video, wanted))
        openness = Openness.of(points[wanted[anchor]])
        return DrivingPictures(pictures, crop.cut(seen[wanted[anchor]], INPUT_PX), openness)


def nearest_frame(motion: HeadParameters, own: HeadParameters) -> int:
    """The frame of a motion that comes nearest to a head's pose (of neck and jaw) and expression."""
    turned = (motion.pose - own.pose)[:, [Joint.NECK, Joint.JAW]].flatten(1).norm(dim=1)
    return int((_TURN_WEIGHT * turned + (motion.expression - own.expression).norm(dim=1)).argmin())


def _frames(video: VideoFile, wanted: list[int]) -> Iterator[tuple[int, Picture]]:
    """Frames by number, ascending; where the file has a hole, the frame before it."""
    waiting = iter(wanted)
    number, last = next(waiting), None
    for index, picture in enumerate(video.frames()):
        last = picture if picture is not None else last
        if index == number and last is not None:
            yield number, last
            number = next(waiting, -1)
            if number < 0:
                return
    raise InputError(
        f"{video.path.name} ends before frame {number} of the motion; give the motion that jobs/track.py made of this "
        "video, at the same frames a second"
    )


def _landmarks(image: Picture) -> Float32[np.ndarray, "478 3"] | None:
    """Of the largest face."""
    faces = detect_faces(image)
    if not faces:
        return None
    box, side = faces[0], 2.0 * faces[0].width
    return landmarks_in_window(
        image, box.left + box.width / 2 - side / 2, box.top + box.height / 2 - side / 2, side, 512
    )
