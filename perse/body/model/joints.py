"""The 55 joints of SMPL-X, in its order: 22 of the body, jaw and eyes, 15 of each hand."""

from __future__ import annotations

from enum import IntEnum


class BodyJoint(IntEnum):
    """Joints 0…24. Those of the fingers follow: see `finger_joint`."""

    PELVIS = 0
    LEFT_HIP = 1
    RIGHT_HIP = 2
    SPINE1 = 3
    LEFT_KNEE = 4
    RIGHT_KNEE = 5
    SPINE2 = 6
    LEFT_ANKLE = 7
    RIGHT_ANKLE = 8
    SPINE3 = 9
    LEFT_FOOT = 10
    RIGHT_FOOT = 11
    NECK = 12
    LEFT_COLLAR = 13
    RIGHT_COLLAR = 14
    HEAD = 15
    LEFT_SHOULDER = 16
    RIGHT_SHOULDER = 17
    LEFT_ELBOW = 18
    RIGHT_ELBOW = 19
    LEFT_WRIST = 20
    RIGHT_WRIST = 21
    JAW = 22
    LEFT_EYE = 23
    RIGHT_EYE = 24


FINGERS = ("index", "middle", "pinky", "ring", "thumb")
"""In SMPL-X's order."""
N_BODY = 22
"""Joints that are neither face nor fingers; the pose-driven offsets see all of them but the root."""


def finger_joint(side: str, finger: str, knuckle: int) -> int:
    """Index of a finger's joint.

    Args:
        side: "left" or "right".
        finger: one of `FINGERS`.
        knuckle: 0, 1 or 2, from the palm outwards.
    """
    return 25 + 15 * (side == "right") + 3 * FINGERS.index(finger) + knuckle


JOINT_NAMES = tuple(joint.name.lower() for joint in BodyJoint) + tuple(
    f"{side}_{finger}{knuckle + 1}" for side in ("left", "right") for finger in FINGERS for knuckle in range(3)
)

_HAND_PARENTS = tuple(
    (BodyJoint.LEFT_WRIST if side == "left" else BodyJoint.RIGHT_WRIST)
    if knuckle == 0
    else finger_joint(side, finger, knuckle - 1)
    for side in ("left", "right")
    for finger in FINGERS
    for knuckle in range(3)
)
PARENTS: tuple[int, ...] = tuple(
    int(parent)
    for parent in (
        -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15, *_HAND_PARENTS,
    )
)  # fmt: skip
"""Of each joint; -1 for the root."""
N_JOINTS = len(PARENTS)
