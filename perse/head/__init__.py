"""The parametric head: FLAME's arrays and functions, whichever files they come from."""

from perse.head.model import HeadModel, Joint, PosedHead, Region
from perse.head.parameters import HeadParameters
from perse.head.skinning import blend_transforms, joint_transforms, pose_head, rest_vertices

__all__ = [
    "HeadModel",
    "HeadParameters",
    "Joint",
    "PosedHead",
    "Region",
    "blend_transforms",
    "joint_transforms",
    "pose_head",
    "rest_vertices",
]
