"""Reframing of a video as if a camera that stands still had filmed a head that only turns.

A clip has one camera, and its head turns around a neck that stays where it is; in a video the body carries the head
through the picture, nearer and farther. A frame's camera is therefore turned about its own centre until the face lies
in the direction in which the portrait has it, which is exact for every pixel, and its picture is enlarged by the ratio
of the face's distances, which is exact at the face's depth. The head's rotation changes by the same turn. What is left
of size and place, since curves are smoothed and depths are estimates, is taken off by the landmarks themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt8
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from perse.data import TrackedPortrait
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, Joint, pose_head
from perse.shapes import Picture
from perse.tracking.landmarks import N_SURFACE, NOSE_BASE
from perse.tracking.video_tracker import TrackedVideo

Floats = NDArray[np.float64]

_ROUNDS = 4


@dataclass(frozen=True)
class Reframed:
    """Frame as the portrait's camera would see it.

    Attributes:
        matrix: [3, 3], pixel positions of the video's frame to those of the portrait's crop.
        head: the head in it, a single frame, with the portrait's identity.
    """

    matrix: Float64[NDArray[np.float64], "3 3"]
    head: HeadParameters

    def points(self, video_px: Float[NDArray[np.float32], "n 3"]) -> Float[NDArray[np.float32], "n 3"]:
        """Points [n, 3] of the video's frame in pixels of the crop; z is scaled along."""
        flat = np.concatenate([video_px[:, :2], np.ones((len(video_px), 1))], 1) @ self.matrix.T
        depth = video_px[:, 2:] * np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))) / self.matrix[2, 2]
        return np.concatenate([flat[:, :2] / flat[:, 2:], depth], 1).astype(np.float32)

    def picture(
        self, frame: Picture, size_px: int
    ) -> tuple[UInt8[NDArray[np.uint8], "s s 3"], UInt8[NDArray[np.uint8], "s s"]]:
        """Crop [s, s, 3] of a frame, and [s, s], 255 where the frame reaches; beyond, its border is repeated."""
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # pixel indices to positions
        matrix = np.linalg.inv(half) @ self.matrix @ half
        scale = float(np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))))
        source = cv2.GaussianBlur(frame, (0, 0), 0.45 / scale) if scale < 0.9 else frame
        enlarging = cv2.INTER_CUBIC if scale >= 0.9 else cv2.INTER_LINEAR
        size = (size_px, size_px)
        picture = cv2.warpPerspective(source, matrix, size, flags=enlarging, borderMode=cv2.BORDER_REPLICATE)
        everywhere = np.full(frame.shape[:2], 255, np.uint8)
        inside = cv2.warpPerspective(everywhere, matrix, size, flags=cv2.INTER_NEAREST)
        return np.asarray(picture, np.uint8), np.asarray(inside, np.uint8)


def reframed(tracked: TrackedVideo, number: int, portrait: TrackedPortrait, model: HeadModel) -> Reframed:
    """A frame of a tracked video seen by the portrait's camera.

    Args:
        tracked: with the portrait's identity.
        number: of a frame in which the face was seen.
    """
    precise = model.to("cpu", torch.float64)
    own, portraits = (one.to("cpu", torch.float64) for one in (tracked.head_camera(number), portrait.camera))
    head = tracked.head.frame(number).to("cpu", torch.float64)
    here = _face(precise, head, own)
    turned, there = head, _face(precise, head, portraits)
    for _ in range(_ROUNDS):  # turning the head moves the face, and with it the direction that it lies in, a little
        turn = _turn(here, there)
        turned = _with_turn(head, own.world_to_camera[:3, :3].numpy(), turn)
        there = _face(precise, turned, portraits)
    here = turn @ here
    scale = here[2] / there[2]
    enlarged = np.diag([scale, scale, 1.0])
    enlarged[:2, 2] = there[:2] / there[2] - scale * here[:2] / here[2]
    left, top, side = tracked.window
    zoom = tracked.camera.width / side
    window = np.array([[zoom, 0, -left * zoom], [0, zoom, -top * zoom], [0, 0, 1]])
    through = portraits.intrinsics.numpy() @ enlarged @ turn @ np.linalg.inv(own.intrinsics.numpy())
    frame = Reframed(through @ window, turned.to("cpu", torch.float32))
    return laid_on_the_face(frame, tracked.landmarks_px[number], portrait, model)


def laid_on_the_face(
    frame: Reframed,
    points_px: Float[NDArray[np.float32], "478 3"],
    portrait: TrackedPortrait,
    model: HeadModel,
    *,
    resized: bool = True,
) -> Reframed:
    """Frame whose landmarks lie, but for a turn, where the portrait's camera sees those of its head.

    Args:
        points_px: [478, 3] of the video's frame.
        resized: to their size too; otherwise only moved.
    """
    precise, ids = model.to("cpu", torch.float64), model.landmark_ids.numpy()
    vertices = pose_head(precise, frame.head.to("cpu", torch.float64)).vertices
    wanted = portrait.camera.to("cpu", torch.float64).project(precise.landmarks(vertices))[0].numpy()
    upper = above_the_mouth(model)
    detected = frame.points(points_px[ids])[upper, :2]
    laid = _laid_on if resized else _moved_to
    return Reframed(laid(detected.astype(np.float64), wanted[upper]) @ frame.matrix, frame.head)


def above_the_mouth(model: HeadModel) -> Bool[NDArray[np.bool_], " n"]:
    """Mask [l] of landmarks that no jaw and no lips move."""
    rest, ids = model.landmarks(model.template).numpy(), model.landmark_ids.numpy()
    return np.asarray((rest[:, 1] > rest[ids == NOSE_BASE, 1].max()) & (ids < N_SURFACE))


def _laid_on(points: Floats, wanted: Floats) -> Floats:
    """Size and place [3, 3], without a turn, that lay points [n, 2] on others best (least squares)."""
    a, b = points - points.mean(0), wanted - wanted.mean(0)
    scale = float((a * b).sum() / (a * a).sum())
    matrix = np.diag([scale, scale, 1.0])
    matrix[:2, 2] = wanted.mean(0) - scale * points.mean(0)
    return matrix


def _moved_to(points: Floats, wanted: Floats) -> Floats:
    """Place [3, 3] alone."""
    matrix = np.eye(3)
    matrix[:2, 2] = (wanted - points).mean(0)
    return matrix


def _face(model: HeadModel, head: HeadParameters, camera: Camera) -> Floats:
    """Middle of the landmarks, camera coordinates [3]."""
    return np.asarray(camera.to_camera(model.landmarks(pose_head(model, head).vertices)).mean(0).numpy())


def _turn(a: Floats, b: Floats) -> Floats:
    """The smallest rotation [3, 3] that brings direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    sine = float(np.linalg.norm(axis))
    angle = np.arctan2(sine, a @ b)
    return np.asarray(Rotation.from_rotvec(axis * (angle / max(sine, 1e-12))).as_matrix())


def _with_turn(head: HeadParameters, to_camera: Floats, turn: Floats) -> HeadParameters:
    """The head turned by a rotation that is given in camera coordinates."""
    pose = head.pose.clone()
    world = Rotation.from_matrix(to_camera.T @ turn @ to_camera)
    pose[Joint.NECK] = torch.from_numpy((world * Rotation.from_rotvec(pose[Joint.NECK].numpy())).as_rotvec())
    return HeadParameters(head.betas, head.vertex_offsets, head.expression, pose)
