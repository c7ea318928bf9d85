"""Regions of the body: the part that each vertex belongs to, from the joint that carries it."""

from __future__ import annotations

from enum import IntEnum

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from perse.body.model.joints import N_JOINTS, BodyJoint
from perse.body.model.mouth import in_mouth
from perse.head import HeadModel


class BodyRegion(IntEnum):
    """Regions of the surface."""

    FACE = 0
    SCALP = 1
    NECK = 2
    TORSO = 3
    UPPER_ARM = 4
    FOREARM = 5
    HAND = 6
    HIP = 7
    UPPER_LEG = 8
    LOWER_LEG = 9
    FOOT = 10
    EYE = 11


_OF_JOINT = {
    BodyJoint.PELVIS: BodyRegion.HIP, BodyJoint.LEFT_HIP: BodyRegion.UPPER_LEG,
    BodyJoint.RIGHT_HIP: BodyRegion.UPPER_LEG, BodyJoint.SPINE1: BodyRegion.TORSO,
    BodyJoint.LEFT_KNEE: BodyRegion.LOWER_LEG, BodyJoint.RIGHT_KNEE: BodyRegion.LOWER_LEG,
    BodyJoint.SPINE2: BodyRegion.TORSO, BodyJoint.LEFT_ANKLE: BodyRegion.FOOT, BodyJoint.RIGHT_ANKLE: BodyRegion.FOOT,
    BodyJoint.SPINE3: BodyRegion.TORSO, BodyJoint.LEFT_FOOT: BodyRegion.FOOT, BodyJoint.RIGHT_FOOT: BodyRegion.FOOT,
    BodyJoint.NECK: BodyRegion.NECK, BodyJoint.LEFT_COLLAR: BodyRegion.TORSO,
    BodyJoint.RIGHT_COLLAR: BodyRegion.TORSO, BodyJoint.HEAD: BodyRegion.SCALP,
    BodyJoint.LEFT_SHOULDER: BodyRegion.UPPER_ARM, BodyJoint.RIGHT_SHOULDER: BodyRegion.UPPER_ARM,
    BodyJoint.LEFT_ELBOW: BodyRegion.FOREARM, BodyJoint.RIGHT_ELBOW: BodyRegion.FOREARM,
    BodyJoint.LEFT_WRIST: BodyRegion.HAND, BodyJoint.RIGHT_WRIST: BodyRegion.HAND, BodyJoint.JAW: BodyRegion.FACE,
    BodyJoint.LEFT_EYE: BodyRegion.EYE, BodyJoint.RIGHT_EYE: BodyRegion.EYE,
}  # fmt: skip

FACE_DEPTH_M = 0.045
"""The face begins so far behind the eyes: in front of the ears."""
FOREHEAD_M = 0.05
"""The face ends so far above the eyes: below most hairlines."""


def body_regions(model: HeadModel) -> Int[Tensor, " v"]:
    """Regions [v] of the vertices. Face and scalp, both carried by the head joint, are told apart by the eyes."""
    of_joint = torch.full((N_JOINTS,), int(BodyRegion.HAND))
    for joint, region in _OF_JOINT.items():
        of_joint[int(joint)] = int(region)
    regions = of_joint[model.skinning_weights.argmax(1)]
    eyes = (model.joint_regressor @ model.template)[[BodyJoint.LEFT_EYE, BodyJoint.RIGHT_EYE]].mean(0)
    place = model.template - eyes
    in_front = (place[:, 2] > -FACE_DEPTH_M) & (place[:, 1] < FOREHEAD_M)
    in_front |= in_mouth(model)
    return torch.where((regions == BodyRegion.SCALP) & in_front, torch.tensor(int(BodyRegion.FACE)), regions)


def in_regions(regions: Int[Tensor, " n"], *chosen: BodyRegion) -> Bool[Tensor, " n"]:
    """Mask [n] of points that lie in one of the chosen regions.

    Args:
        regions: values of `BodyRegion`.
    """
    return torch.isin(regions, torch.tensor([int(one) for one in chosen]))
