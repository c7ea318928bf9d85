"""Frames of a video file from a stranger, at an even rate and a bounded size.

What is read is decided before decoding: containers and codecs from a short list, through an open file and nothing
else, so that no playlist can name other files and no rare decoder is reached. Sizes are compared with limits ahead of
the memory they would take.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perse.data.motion_file import MAX_FRAMES
from perse.errors import InputError
from perse.shapes import Picture
from perse.tracking.wording import above

Image = NDArray[np.uint8]

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")
"""Of files that are looked at as videos in a folder."""
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
CODECS = "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mjpeg,prores"
MAX_OWN_FPS = 60.0
"""Faster videos are thinned out."""
MAX_STAMPS = 100_000
PAUSE_STEPS = 4.0
"""A longer wait than this many usual ones is a hole in the video and says nothing about its rate."""
EVEN_SHARE, MOSTLY = 0.15, 0.8
"""A clock is even if so large a part of its steps differ from the usual one by no more than this share of it: then
longer steps are lost frames."""
EARLY_FRAMES, LATE_FRAMES = 1.5, 0.9
"""How far from its own place in time, in frames, a frame may be numbered: further away something is missing."""


@dataclass(frozen=True, kw_only=True)
class VideoLimits:
    """Limits of a video: what is accepted, and how large frames are handed out."""

    max_bytes: int = 4 * 2**30
    """Largest file."""
    max_pixels: int = 4096 * 2304
    """Largest frame, pixels."""
    max_frames: int = MAX_FRAMES
    """Longest video, frames at the rate that is asked for: what a motion file holds."""
    long_side_px: int = 1280
    """Frames are reduced to this; a face needs no more."""


@dataclass(frozen=True)
class VideoFile:
    """Video that can be decoded again and again.

    Attributes:
        path: the file.
        fps: frames a second that `frames` gives, evenly.
        expected: about how many that will be.
        limits: see there.
        every: whether `fps` is the video's own rate, so that every decoded frame is handed out once.
    """

    path: Path
    fps: float
    expected: int
    limits: VideoLimits
    every: bool = False

    def frames(self) -> Iterator[Picture | None]:
        """RGB frames [h, w, 3] in presentation order, upright, all of one size; None where the file has a hole.

        Raises:
            InputError: it cannot be decoded, or is longer than it said.
        """
        size: tuple[int, int] | None = None
        following = 0
        for time_s, frame in self._decoded():
            number = self._place(time_s, following)
            if number >= self.limits.max_frames:
                raise _too_long(self.path, self.limits)
            if number < following:
                continue
            yield from (None for _ in range(following, number))
            picture = _upright(frame, self.limits.long_side_px)
            size = size or picture.shape[:2]
            if picture.shape[:2] != size:
                raise InputError(f"{self.path.name} changes its size half way; cut it, or encode it anew")
            yield picture
            following = number + 1
        if size is None:
            raise InputError(f"no frame of {self.path.name} can be decoded; it is damaged")

    def _place(self, time_s: float, following: int) -> int:
        """Number of a frame at a time; below `following`, the next free number, if it is one too many.

        At the video's own rate a frame that is a little early or late takes the next number: recorders keep no even
        time, and neither frames nor holes may be made of that.
        """
        position = time_s * self.fps
        if self.every and following - EARLY_FRAMES <= position < following + LATE_FRAMES:
            return following
        return math.ceil(position - 0.5 - 1e-6)  # halves go down, all of them: of two frames a place the first counts

    def _decoded(self) -> Iterator[tuple[float, Any]]:
        """Frames with their times since the first, seconds; damaged packets are passed over."""
        import av

        with _opened(self.path) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = {"max_pixels": str(self.limits.max_pixels)}
            stream.thread_type = "AUTO"
            start: float | None = None
            last = -1.0
            packets = container.demux(stream)
            while True:
                try:
                    pictures = next(packets).decode()
                except StopIteration:
                    return
                except av.error.InvalidDataError:
                    continue
                except av.error.FFmpegError:
                    return  # a file that was cut off ends here
                for picture in pictures:
                    time_s = picture.time if picture.time is not None else last + 1 / self.fps
                    start = time_s if start is None else start
                    last = max(time_s, last)
                    yield max(time_s - start, 0.0), picture


def open_video(path: Path, *, fps: float | None = None, limits: VideoLimits | None = None) -> VideoFile:
    """Video in a file that has been looked at.

    Args:
        path: the file.
        fps: frames a second to hand out; the video's own (60 at most) if left out.

    Raises:
        InputError: not there, not a video of a known kind, too large, too long.
    """
    limits = limits or VideoLimits()
    with _opened(path, limits.max_bytes) as container:
        stream = container.streams.video[0]
        if stream.codec_context.width * stream.codec_context.height > limits.max_pixels:
            raise InputError(
                f"{path.name} has frames of {stream.codec_context.width} × {stream.codec_context.height} pixels; "
                f"at most {limits.max_pixels / 1e6:.1f} million are read: make it smaller"
            )
        said = float(stream.average_rate or stream.guessed_rate or 25)
        times = _time_stamps(container, stream)
        own = _rate_of(times, said)
        rate = max(fps or min(own, MAX_OWN_FPS), 1.0)
        duration = times[-1] - times[0] + 1 / own if len(times) > 1 else (container.duration or 0) / 1e6
    expected = round(duration * rate)
    if expected > limits.max_frames:
        raise _too_long(path, limits)
    return VideoFile(path, rate, max(expected, 1), limits, every=fps is None and own <= MAX_OWN_FPS)


def _time_stamps(container: Any, stream: Any) -> NDArray[np.float64]:
    """When the video's frames are shown, seconds, in order; read off the packets, nothing is decoded."""
    import av

    times: list[float] = []
    try:
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base is not None:
                times.append(float(packet.pts * packet.time_base))
            if len(times) >= MAX_STAMPS:
                break
    except av.error.FFmpegError:
        pass  # a file that was cut off: what was read will do
    return np.unique(np.array(times, np.float64))


def _rate_of(times: NDArray[np.float64], said: float) -> float:
    """Frames a second by time stamps; what the container says where it agrees, or where there are no stamps.

    Browsers write their clock's rate (1000) where frames a second belong. Pauses do not count.
    """
    if len(times) < 3:
        return said
    steps = np.diff(times)
    usual = float(np.median(steps))
    even = np.abs(steps - usual) < EVEN_SHARE * usual
    kept = steps[even] if even.mean() > MOSTLY else steps[steps <= PAUSE_STEPS * usual]
    measured = 1 / float(kept.mean())
    return said if abs(said - measured) < 0.01 * measured else measured


def _too_long(path: Path, limits: VideoLimits) -> InputError:
    return InputError(f"{path.name} is too long: at most {limits.max_frames} frames are read; cut it, or give --fps")


@contextmanager
def _opened(path: Path, max_bytes: int | None = None) -> Iterator[Any]:
    import av

    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"the video {path} cannot be read ({error.strerror})") from None
    with file:
        if max_bytes is not None and size > max_bytes:
            raise InputError(
                f"{path.name} has {above(size / 2**30, 1)} GiB; a video has at most {max_bytes / 2**30:.0f}"
            )
        options = {"format_whitelist": CONTAINERS, "codec_whitelist": CODECS, "protocol_whitelist": "none"}
        try:
            container = av.open(file, options=options)
        except (av.error.FFmpegError, ValueError, OSError):
            raise InputError(
                f"{path.name} is not a video that can be read; MP4, MOV, MKV, WebM and AVI files are, "
                "with H.264, HEVC, VP8, VP9, AV1, MPEG-4, MJPEG or ProRes inside"
            ) from None
        with container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise InputError(f"{path.name} holds no pictures that can be decoded")
            yield container


def _upright(frame: Any, long_side_px: int) -> Image:
    """A decoded frame as RGB with square pixels, turned as its container says, reduced."""
    aspect = float(frame.sample_aspect_ratio or 1) if hasattr(frame, "sample_aspect_ratio") else 1.0
    width, height = frame.width * max(aspect, 1.0), frame.height / min(aspect, 1.0)
    scale = min(1.0, long_side_px / max(width, height))
    width, height = max(round(width * scale), 2), max(round(height * scale), 2)
    picture = frame.to_ndarray(format="rgb24", width=width, height=height)
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns))
