"""Overlay video: the tracked face's contours on the frames, and beside them a plain head that moves alike."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perse.head import HeadModel, Joint, Region, pose_head
from perse.head.mesh_tools import vertex_normals
from perse.render.mesh import project_vertices, rasterize_mesh
from perse.shapes import Picture
from perse.tracking import landmarks as marks
from perse.tracking.video_file import Image, VideoFile
from perse.tracking.video_tracker import TrackedVideo

SIZE_PX = 448
CONTOURS = (
    (marks.JAW_LINE, False), (marks.LIPS_OUTER, True), (marks.LEFT_EYE, True), (marks.RIGHT_EYE, True),
    (marks.NOSE_BRIDGE, False), (marks.LIPS_UPPER_INNER[1:-1], False), (marks.LIPS_LOWER_INNER[1:-1], False),
)  # fmt: skip
"""The lips' inner corners are left out: the embedded head carries them at the back of its mouth."""
SEEN, GUESSED, DETECTED = (80, 220, 90), (240, 120, 40), (70, 130, 250)
CLAY = np.array([214, 190, 172], np.float32)
IRIS = np.array([70, 50, 40], np.float32)


def overlay_frames(video: VideoFile, tracked: TrackedVideo, model: HeadModel) -> Iterator[Picture]:
    """Frames [448, 896, 3]: left the window of the video with what was detected (blue dots) and the fitted head's
    contours (green; orange where the face was not seen), right the head performing the motion."""
    for number, frame in enumerate(video.frames()):
        if number >= len(tracked.seen):
            return
        left = _window(frame, tracked) if frame is not None else np.full((SIZE_PX, SIZE_PX, 3), 40, np.uint8)
        yield np.concatenate([_marked(left, tracked, model, number), _clay(tracked, model, number)], 1)


def _window(frame: Image, tracked: TrackedVideo) -> Image:
    left, top, side = tracked.window
    scale = SIZE_PX / side
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    return np.asarray(cv2.warpAffine(frame, matrix, (SIZE_PX, SIZE_PX), flags=cv2.INTER_AREA), np.uint8)


def _marked(picture: Image, tracked: TrackedVideo, model: HeadModel, number: int) -> Image:
    left, top, side = tracked.window
    seen = bool(tracked.seen[number])
    if seen:
        for x, y in (tracked.landmarks_px[number, :, :2] - (left, top)) * (SIZE_PX / side):
            cv2.circle(picture, (int(x), int(y)), 1, DETECTED, -1, cv2.LINE_AA)
    head = tracked.head.frame(number)
    camera = tracked.head_camera(number).resized(SIZE_PX, SIZE_PX)
    points = camera.project(model.landmarks(pose_head(model, head).vertices))[0].numpy()
    place = {int(mark): index for index, mark in enumerate(model.landmark_ids)}
    for contour, closed in CONTOURS:
        line = np.array([points[place[mark]] for mark in contour if mark in place])
        cv2.polylines(picture, [np.round(line * 16).astype(np.int32)], closed, SEEN if seen else GUESSED, 1,
                      cv2.LINE_AA, 4)  # fmt: skip
    x, y, z = (float(angle) for angle in torch.rad2deg(head.pose[Joint.NECK]))
    jaw = float(torch.rad2deg(head.pose[Joint.JAW, 0]))
    text = f"{number / tracked.fps:6.2f} s   turn {y:+.0f}  nod {x:+.0f}  tilt {z:+.0f}  jaw {jaw:.0f}"
    _write(picture, text if seen else f"{text}   not seen", 16)
    return picture


def _clay(tracked: TrackedVideo, model: HeadModel, number: int) -> Image:
    """The head as the motion file will move it: where the body went is left out."""
    head = tracked.head.frame(number)
    faces = model.faces.numpy().astype(np.int32)
    vertices = pose_head(model, head).vertices.numpy()
    camera = tracked.head_camera(tracked.rest[0]).resized(SIZE_PX, SIZE_PX)
    normals = vertex_normals(vertices.astype(np.float64), faces.astype(np.int64))
    light = 0.35 + 0.65 * np.clip(normals @ np.array([0.25, 0.4, 0.88]), 0, 1)
    fragments = rasterize_mesh(project_vertices(vertices, camera), faces, SIZE_PX, SIZE_PX)
    colors = (light[:, None] * np.where(_irises(model)[:, None], IRIS, CLAY)).astype(np.float32)
    picture = np.where(fragments.face[..., None] >= 0, fragments.interpolate(faces, colors), 32.0)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _irises(model: HeadModel) -> NDArray[np.bool_]:
    """[v], the front of the eyeballs, so that one sees where they look."""
    rest, regions = model.template.numpy(), model.regions.numpy()
    iris = np.zeros(len(rest), bool)
    for region in (Region.LEFT_EYE, Region.RIGHT_EYE):
        own = regions == region
        if own.any():
            centre, radius = rest[own].mean(0), np.ptp(rest[own, 1]) / 2
            iris |= own & (np.hypot(*(rest - centre)[:, :2].T) < 0.5 * radius) & (rest[:, 2] > centre[2])
    return iris


def _write(picture: NDArray[np.uint8], text: str, y: int) -> None:
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, (8, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, thickness, cv2.LINE_AA)
