"""Footage that portrait-Champ is trained on: the tracked head of a video, cropped, on white, with its guidance maps.

::

    video ─ track ─► the longest stretch in which the face is seen ─ crop, matte ─► frames on white
                                                       head parameters ─ draw ─► depth, normals, keypoints

Frames and maps are framed as portraits are, so that what is learned fits what will be animated. On white, because
clips stand on white: a model that never sees a background does not have to invent one behind a turning head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from perse.data.on_white import laid_on_white
from perse.errors import InputError
from perse.geometry import Camera
from perse.head import HeadModel
from perse.shapes import Picture
from perse.synthesis.production.guidance import Guidance, GuidanceConfig
from perse.tracking import CropConfig
from perse.tracking import landmarks as marks
from perse.tracking.detection import face_width
from perse.tracking.person import person_matte
from perse.tracking.polygons import landmark_mask
from perse.tracking.video_file import VideoFile, VideoLimits
from perse.tracking.video_tracker import TrackedVideo, VideoTracker, VideoTrackerConfig

_FLAT_LEVELS = 4.0
"""A frame whose grey levels (of 255) vary less than this shows nothing."""


@dataclass(frozen=True)
class Footage:
    """Prepared video.

    Attributes:
        frames: [f, s, s, 3] uint8 RGB, the person on white.
        guidance: maps of the same frames, [f, s, s, 3] each.
    """

    frames: UInt8[np.ndarray, "f s s 3"]
    guidance: Guidance

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, kw_only=True)
class FootageConfig:
    """Numbers of preparing videos; part of their keys."""

    tracker: VideoTrackerConfig = field(default_factory=VideoTrackerConfig)
    """Finds the head."""
    framing: CropConfig = field(default_factory=CropConfig)
    """Framing of a portrait; its size does not count here."""
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    """How maps are drawn."""
    limits: VideoLimits = field(default_factory=lambda: VideoLimits(max_frames=1500))
    """Which videos are read; of longer ones nothing."""
    fps: float | None = None
    """Frames a second; the video's own if left out."""
    sizes_px: tuple[int, ...] = (512, 384, 256)
    """Sizes of frames, largest first: a video gets the largest that its pixels fill, and is refused below the last."""
    lengths: tuple[int, ...] = (24, 16, 8)
    """Lengths of windows, longest first: a video belongs to the longest that it fills, and is refused below the
    last."""

    def size_of(self, side_px: float) -> int:
        """Size of the frames that are cut from a window of so many pixels of the video.

        Raises:
            InputError: the person is too small in the video.
        """
        found = next((size for size in self.sizes_px if size <= side_px), None)
        if found is None:
            raise InputError(
                f"the head's window is {side_px:.0f} px wide, at least {self.sizes_px[-1]} are needed; give a closer "
                "or a larger video"
            )
        return found

    def length_of(self, frames: int) -> int:
        """The bucket of a stretch of so many frames.

        Raises:
            InputError: the face is not seen long enough.
        """
        found = next((length for length in self.lengths if length <= frames), None)
        if found is None:
            raise InputError(
                f"the face is seen for {frames} frames without a break, at least {self.lengths[-1]} are needed"
            )
        return found


class FootageMaker:
    """Maker of footage from videos for one head model. Deterministic."""

    def __init__(self, config: FootageConfig, head: HeadModel) -> None:
        self._config, self._head = config, head
        self._tracker = VideoTracker(config.tracker, head)
        self._drawer = config.guidance.build(head)

    def make(self, video: VideoFile) -> Footage:
        """Footage of a video.

        Raises:
            InputError: nobody, or nobody large enough, is seen for long enough.
            GenerationError: keypoints are to be found in pictures, and nobody is in one.
        """
        tracked = self._tracker.track(video)
        start, end = longest_run(_usable(tracked, video))
        self._config.length_of(end - start)
        window = self._window(tracked)
        size = self._config.size_of(window[2])
        frames = np.stack(
            [cut_on_white(frame, tracked.landmarks_px[start + i], window, size)
             for i, frame in enumerate(_stretch(video, start, end))]
        )  # fmt: skip
        cameras = [self._camera(tracked, number, window) for number in range(start, end)]
        motion = tracked.head.frame(slice(start, end))
        return Footage(frames, self._drawer.draw(motion, cameras, size, frames))

    def _window(self, tracked: TrackedVideo) -> tuple[float, float, float]:
        """Left, top and side in pixels of the video: framed as a portrait, standing still."""
        left, _, side = tracked.window
        face = tracked.landmarks_px[tracked.seen][:, : marks.N_SURFACE]
        width = float(np.median([face_width(points) for points in face]))
        top = float(np.median(face[..., 1].min(1))) - self._config.framing.headroom * width
        return left, top, side

    def _camera(self, tracked: TrackedVideo, number: int, window: tuple[float, float, float]) -> Camera:
        camera = tracked.head_camera(number)
        scale = camera.width / tracked.window[2]
        shift = (window[1] - tracked.window[1]) * scale
        return camera.cropped(0.0, shift, camera.width, camera.height)


def cut_on_white(
    frame: Picture, points_px: Float32[np.ndarray, "478 3"], window: tuple[float, float, float], size_px: int
) -> UInt8[np.ndarray, "size size 3"]:
    """A window of a frame with the person on white, [size, size, 3].

    Args:
        points_px: [478, 3] landmarks in pixels of the frame.
        window: left, top and side in pixels of the frame; beyond its border the frame is continued.
    """
    left, top, side = window
    scale = size_px / side
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    source = cv2.GaussianBlur(frame, (0, 0), 0.45 / scale) if scale < 0.9 else frame
    size = (size_px, size_px)
    picture = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    own = ((points_px[:, :2] - (left, top)) * scale).astype(np.float32)
    hull = landmark_mask(own, marks.FACE_OVAL, size, grow=0.97)
    person = person_matte(np.asarray(picture, np.uint8), face_width(own), hull)
    return laid_on_white(picture, person)


def longest_run(usable: Bool[np.ndarray, " f"]) -> tuple[int, int]:
    """Numbers of the first frame of the longest stretch of usable frames and of the one after its last; the first of
    equal ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], usable, [False]]).astype(np.int8)))
    runs = [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return max(runs, key=lambda run: run[1] - run[0], default=(0, 0))


def _usable(tracked: TrackedVideo, video: VideoFile) -> Bool[np.ndarray, " f"]:
    """Frames [f] in which the face is seen and the picture is one: neither missing nor black."""
    usable = tracked.seen.copy()
    for number, frame in enumerate(video.frames()):
        if number < len(usable) and (frame is None or float(frame.std()) < _FLAT_LEVELS):
            usable[number] = False
    return usable


def _stretch(video: VideoFile, start: int, end: int) -> Iterator[Picture]:
    for number, frame in enumerate(video.frames()):
        if start <= number < end:
            assert frame is not None, "only frames that are there are usable"
            yield frame
        if number >= end:
            return
