"""Landmarks of one face in every frame of a video."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32

from perse.tracking.detection import FaceBox, Points, detect_faces, face_width, landmarks_in_window
from perse.tracking.face_tracks import FaceTrack, choose_track, link_faces
from perse.tracking.landmarks import N_SURFACE
from perse.tracking.video_file import Image, VideoFile

WINDOWS = (2.1, 2.5)
"""Sizes of the magnified windows, in face widths, whose landmarks are averaged."""
THREADS = max(1, min(4, os.cpu_count() or 1))
"""Frames that are measured at once: the network takes most of a frame's time, and one core."""
AHEAD = 2 * THREADS
"""Frames that are decoded before they are measured."""
Tick = Callable[[], None]


def follow_face(video: VideoFile, face: int | None, tick: Tick) -> tuple[FaceTrack, int]:
    """Track of the face to follow, and how many the video shows; `tick` is called after every frame.

    Raises:
        InputError: the video cannot be read, shows no face, or not that many.
    """

    def boxes() -> Iterator[list[FaceBox]]:
        with ThreadPoolExecutor(THREADS, "faces") as threads:
            under_way: deque[Future[list[FaceBox]]] = deque()
            for frame in video.frames():
                under_way.append(threads.submit(_faces, frame))
                if len(under_way) > AHEAD:
                    yield under_way.popleft().result()
                    tick()
            for found in under_way:
                yield found.result()
                tick()

    return choose_track(link_faces(boxes(), video.fps), face)


def _faces(frame: Image | None) -> list[FaceBox]:
    return [] if frame is None else detect_faces(frame)


def video_landmarks(video: VideoFile, track: FaceTrack, tick: Tick) -> Float32[np.ndarray, "f 478 d"]:
    """Landmarks [f, 478, 3] of one face in pixels of the frames; NaN where it is not seen.

    Each frame is measured on its own: a tracker that starts from the frame before lags and drifts. So several are
    measured at once.
    """
    nothing = np.full((N_SURFACE + 10, 3), np.nan, np.float32)
    rows: list[Points] = []
    under_way: deque[Future[Points | None]] = deque()

    def finish(left: int) -> None:
        while len(under_way) > left:
            found = under_way.popleft().result()
            rows.append(nothing if found is None else found)
            tick()

    with ThreadPoolExecutor(THREADS, "landmarks") as threads:
        for number, frame in enumerate(video.frames()):
            box = track.boxes.get(number)
            if frame is not None and box is not None:
                middle = (box.left + box.width / 2, box.top + box.height / 2)
                under_way.append(threads.submit(_landmarks, frame, *middle, 2.0 * box.width))
                finish(AHEAD)
            else:
                finish(0)
                under_way.append(threads.submit(_where_it_was, frame, rows[-1] if rows else nothing))
        finish(0)
    return np.stack(rows)


def _where_it_was(image: Image | None, last: Points) -> Points | None:
    """The detector misses turned faces that the landmark network still sees where they last were."""
    if image is None or np.isnan(last[0, 0]):
        return None
    x, y = (last[:N_SURFACE, :2].min(0) + last[:N_SURFACE, :2].max(0)) / 2
    return _landmarks(image, float(x), float(y), 2.1 * face_width(last))


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
