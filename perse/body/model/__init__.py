"""The parametric body: SMPL-X's 55 joints and arrays, whichever files they come from."""

from perse.body.model.joints import JOINT_NAMES, PARENTS, BodyJoint
from perse.body.model.parameters import BodyParameters
from perse.body.model.posing import pose_body, shaped_body
from perse.body.model.regions import BodyRegion, body_regions, in_regions
from perse.body.model.sources import AnnyBody, BodySource, SmplxBody

__all__ = [
    "JOINT_NAMES",
    "PARENTS",
    "AnnyBody",
    "BodyJoint",
    "BodyParameters",
    "BodyRegion",
    "BodySource",
    "SmplxBody",
    "body_regions",
    "in_regions",
    "pose_body",
    "shaped_body",
]
