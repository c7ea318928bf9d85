"""One face's landmarks in every frame of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from perse.tracking.detection import FaceBox, Points, detect_faces, face_width, landmarks_in_window
from perse.tracking.face_tracks import FaceTrack, choose_track, link_faces
from perse.tracking.landmarks import N_SURFACE
from perse.tracking.video_file import Image, VideoFile

WINDOWS = (2.1, 2.5)
"""Sizes of the magnified windows, in face widths, whose landmarks are averaged."""
Tick = Callable[[], None]


def follow_face(video: VideoFile, face: int | None, tick: Tick) -> tuple[FaceTrack, int]:
    """The face to follow, and how many the video shows; `tick` is called after every frame.

    Raises:
        InputError: the video cannot be read, shows no face, or not that many.
    """

    def boxes() -> Iterator[list[FaceBox]]:
        for frame in video.frames():
            yield [] if frame is None else detect_faces(frame)
            tick()

    return choose_track(link_faces(boxes(), video.fps), face)


def video_landmarks(video: VideoFile, track: FaceTrack, tick: Tick) -> NDArray[np.float32]:
    """The landmarks of one face, [f, 478, 3] in pixels of the frames; NaN where it is not seen.

    Each frame is measured on its own: a tracker that starts from the frame before lags and drifts.
    """
    nothing = np.full((N_SURFACE + 10, 3), np.nan, np.float32)
    rows: list[Points] = []
    for number, frame in enumerate(video.frames()):
        box = track.boxes.get(number)
        found = None
        if frame is not None and box is not None:
            found = _landmarks(frame, box.left + box.width / 2, box.top + box.height / 2, 2.0 * box.width)
        elif frame is not None and rows and not np.isnan(rows[-1][0, 0]):
            # The detector misses turned faces that the landmark network still sees where they last were.
            last = rows[-1][:N_SURFACE, :2]
            middle = (last.min(0) + last.max(0)) / 2
            found = _landmarks(frame, float(middle[0]), float(middle[1]), 2.1 * face_width(rows[-1]))
        rows.append(nothing if found is None else found)
        tick()
    return np.stack(rows)


def _landmarks(image: Image, x: float, y: float, size: float) -> Points | None:
    points = landmarks_in_window(image, x - size / 2, y - size / 2, size, 512)
    if points is None or not _inside(points, x, y, size):
        return None
    found = []
    for widths in WINDOWS:
        side = widths * face_width(points)
        middle = (points[:N_SURFACE, :2].min(0) + points[:N_SURFACE, :2].max(0)) / 2
        again = landmarks_in_window(image, middle[0] - side / 2, middle[1] - 0.48 * side, side, 512)
        if again is not None and _inside(again, float(middle[0]), float(middle[1]), side):
            found.append(again)
    return np.mean(found, 0).astype(np.float32) if found else points


def _inside(points: Points, x: float, y: float, size: float) -> bool:
    """Whether the face found is the one asked for: its middle lies in the window's middle."""
    middle = (points[:N_SURFACE, :2].min(0) + points[:N_SURFACE, :2].max(0)) / 2
    return bool(np.abs(middle - (x, y)).max() < 0.3 * size and face_width(points) < 0.9 * size)
