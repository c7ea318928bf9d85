"""Stances: a pose in words a dancer would use, for any body model.

SMPL-X rests with its arms stretched out, the anny body with its arms half down. A `Stance` counts from a person who
stands with hanging arms, and `stance_pose` says what that is for a model: limbs are turned from where the model has
them at rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from perse.body.model.joints import FINGERS, N_JOINTS, BodyJoint, finger_joint
from perse.geometry import axis_angle_to_matrix, matrix_to_quaternion
from perse.head import HeadModel

Pair = tuple[float, float]
"""(left, right)."""


@dataclass(frozen=True, kw_only=True)
class Stance:
    """Pose in words. Radians; pairs are (left, right)."""

    yaw: float = 0.0
    """The whole person turns towards their left."""
    bow: float = 0.0
    """Spine forward."""
    bend: float = 0.0
    """Spine towards the left."""
    twist: float = 0.0
    """Shoulders turn against the hips, towards the left."""
    head_yaw: float = 0.0
    """Towards the left."""
    head_pitch: float = 0.0
    """Down."""
    hip: Pair = (0.0, 0.0)
    """Thighs forward."""
    spread: Pair = (0.0, 0.0)
    """Legs outwards."""
    knee: Pair = (0.0, 0.0)
    """Knees bend."""
    ankle: Pair = (0.0, 0.0)
    """Toes up."""
    arm: Pair = (0.2, 0.2)
    """Arms outwards from hanging straight down; π/2 is horizontal."""
    swing: Pair = (0.0, 0.0)
    """Arms forward."""
    elbow: Pair = (0.15, 0.15)
    """Elbows bend, forearms forward."""
    curl: Pair = (0.2, 0.2)
    """Fingers bend."""


def stance_pose(model: HeadModel, stance: Stance) -> Float[Tensor, "55 3"]:
    """Axis-angle [55, 3] of a stance."""
    joints = model.joint_regressor @ model.template
    turns = torch.eye(3).repeat(N_JOINTS, 1, 1)

    def turn(joint: int, axis: Tensor, angle: float) -> None:
        turns[joint] = axis_angle_to_matrix(axis * angle) @ turns[joint]

    x, y, z = torch.eye(3)
    turn(BodyJoint.PELVIS, y, stance.yaw)
    for joint in (BodyJoint.SPINE1, BodyJoint.SPINE2, BodyJoint.SPINE3):
        turn(joint, x, stance.bow / 3)
        turn(joint, z, -stance.bend / 3)
        turn(joint, y, stance.twist / 3)
    for joint in (BodyJoint.NECK, BodyJoint.HEAD):
        turn(joint, x, stance.head_pitch / 2)
        turn(joint, y, stance.head_yaw / 2)
    for side, out in ((0, 1.0), (1, -1.0)):
        word = "LEFT" if side == 0 else "RIGHT"
        hip, knee, ankle = (BodyJoint[f"{word}_{name}"] for name in ("HIP", "KNEE", "ANKLE"))
        shoulder, elbow, wrist = (BodyJoint[f"{word}_{name}"] for name in ("SHOULDER", "ELBOW", "WRIST"))
        turn(hip, z, out * stance.spread[side])
        turn(hip, x, -stance.hip[side])
        turn(knee, x, stance.knee[side])
        turn(ankle, x, -stance.ankle[side])
        rest = joints[elbow] - joints[shoulder]
        at_rest = math.atan2(out * float(rest[0]), -float(rest[1]))  # 0 hangs, π/2 is stretched out
        turn(shoulder, z, out * (stance.arm[side] - at_rest))
        turn(shoulder, x, -stance.swing[side])
        forearm = joints[wrist] - joints[elbow]
        axis = torch.nn.functional.normalize(torch.linalg.cross(forearm, z), dim=0)
        already = math.atan2(float(forearm[2]), float(forearm[:2].norm()))
        turn(elbow, axis, stance.elbow[side] - already)
        _curl(turns, joints, word.lower(), stance.curl[side])
    return matrix_to_axis_angle(turns)


def _curl(turns: Tensor, joints: Tensor, side: str, angle: float) -> None:
    """Fingers turn about the row of knuckles, the thumb half as far."""
    row = joints[finger_joint(side, "index", 0)] - joints[finger_joint(side, "pinky", 0)]
    row = torch.nn.functional.normalize(row, dim=0)
    along = joints[finger_joint(side, "middle", 0)] - joints[BodyJoint[f"{side.upper()}_WRIST"]]
    # The palm faces the thighs at rest: the sense that brings fingertips towards the body's middle.
    inwards = torch.linalg.cross(row, torch.nn.functional.normalize(along, dim=0))
    sense = -1.0 if float(inwards[0]) * (1 if side == "left" else -1) > 0 else 1.0
    for finger in FINGERS:
        share = 0.4 if finger == "thumb" else 1.0
        for knuckle in range(3):
            joint = finger_joint(side, finger, knuckle)
            turns[joint] = axis_angle_to_matrix(row * (sense * share * angle)) @ turns[joint]


def matrix_to_axis_angle(matrix: Float[Tensor, "*n 3 3"]) -> Float[Tensor, "*n 3"]:
    """Rotation matrices [..., 3, 3] to axis-angle [..., 3], angles in [0, π]."""
    quaternion = matrix_to_quaternion(matrix)
    sine = quaternion[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, quaternion[..., :1])
    return torch.where(sine > 1e-8, quaternion[..., 1:] / sine.clamp(min=1e-12) * angle, 2 * quaternion[..., 1:])
