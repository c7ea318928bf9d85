"""Drawing a body avatar: single frames, a turntable, motions, close-ups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import performed
from perse.body.animation.studio_camera import looking_at
from perse.body.avatar import BodyAvatar
from perse.body.model import BodyJoint, pose_body
from perse.body.model.joints import finger_joint
from perse.body.model.stance import Stance, stance_pose
from perse.geometry import Camera, orbit
from perse.render import Rasterizer, Rendering, rasterize
from perse.shapes import Picture

FACE_M, HAND_M = 0.36, 0.28
"""Widths of the close-ups' windows."""
CLOSE_DISTANCE_M = 2.0


@torch.no_grad()
def draw(
    avatar: BodyAvatar,
    pose: Float[Tensor, "55 3"],
    translation: Float[Tensor, "3"],
    camera: Camera,
    rasterizer: Rasterizer,
) -> Rendering:
    """Picture of the avatar in a pose [55, 3], on white."""
    return rasterize(avatar.posed(pose, translation), camera, background=torch.ones(3), rasterizer=rasterizer)


def picture(rendering: Rendering) -> Picture:
    """Pixels [h, w, 3] uint8 of a rendering."""
    return np.round(255 * rendering.colors.clamp(0, 1).numpy()).astype(np.uint8)


def turntable(
    avatar: BodyAvatar, person: DressedPerson, camera: Camera, frames: int, rasterizer: Rasterizer
) -> Iterator[Picture]:
    """Frames of a camera that walks around the standing person."""
    pose = stance_pose(person.model, Stance(arm=(0.4, 0.4)))
    place = person.parameters.translation
    centre = place + torch.tensor([0.0, float(avatar.joints[BodyJoint.SPINE1, 1]), 0.0])
    for number in range(frames):
        around = orbit(camera, centre, 2 * math.pi * number / frames)
        yield picture(draw(avatar, pose, place, around, rasterizer))


def motion(
    avatar: BodyAvatar, person: DressedPerson, name: str, camera: Camera, frames: int, rasterizer: Rasterizer
) -> Iterator[Picture]:
    """Frames of a committed motion."""
    moved = performed(person.model, person.parameters, name, tuple(number / frames for number in range(frames)))
    for pose, place in zip(moved.pose, moved.translation, strict=True):
        yield picture(draw(avatar, pose, place, camera, rasterizer))


def close_ups(avatar: BodyAvatar, person: DressedPerson, size_px: int, rasterizer: Rasterizer) -> dict[str, Picture]:
    """Close-ups of the face from the front and from either side, and of both hands, in the photographed pose."""
    parameters, joints = person.parameters, _photographed_joints(person)
    head = _head(joints)

    def shot(centre: Tensor, width_m: float, yaw: float = 0.0) -> Picture:
        camera = orbit(_close(centre, width_m, size_px), centre, yaw)
        return picture(draw(avatar, parameters.pose, parameters.translation, camera, rasterizer))

    hands = {side: joints[finger_joint(side, "middle", 0)] for side in ("left", "right")}
    return {
        "face": shot(head, FACE_M),
        "face from the left": shot(head, FACE_M, 0.6),
        "face from the right": shot(head, FACE_M, -0.6),
        "left hand": shot(hands["left"], HAND_M),
        "right hand": shot(hands["right"], HAND_M),
    }


def head_shot(person: DressedPerson, width_m: float, size_px: int) -> tuple[Camera, Float[Tensor, "3"]]:
    """Camera in front of the photographed head that sees so many metres, neck included, and what it looks at [3]."""
    centre = _head(_photographed_joints(person)) - torch.tensor([0.0, 0.15 * width_m, 0.0])
    return _close(centre, width_m, size_px), centre


def _photographed_joints(person: DressedPerson) -> Tensor:
    return pose_body(person.model, person.parameters).posed_joints


def _head(joints: Tensor) -> Tensor:
    eyes = joints[[BodyJoint.LEFT_EYE, BodyJoint.RIGHT_EYE]].mean(0)
    return eyes + torch.tensor([0.0, -0.01, -0.06])


def _close(centre: Tensor, width_m: float, size_px: int) -> Camera:
    x, y, z = centre.tolist()
    return looking_at((x, y, z), CLOSE_DISTANCE_M, size_px * CLOSE_DISTANCE_M / width_m, size_px, size_px)


def sheet(rows: Sequence[Sequence[Picture]]) -> UInt8[np.ndarray, "height width 3"]:
    """Rows of pictures of one size as one picture."""
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)
