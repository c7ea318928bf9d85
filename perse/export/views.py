"""Where the camera stands: the portrait's own view, moved around the head."""

from __future__ import annotations

import torch
from torch import Tensor

from perse.avatar import Avatar
from perse.geometry import Camera, orbit
from perse.head import Joint

__all__ = ["orbit", "orbit_centre", "portrait_camera"]


def orbit_centre(avatar: Avatar) -> Tensor:
    """What cameras walk around [3], metres: about the middle of the head, between the eyes' joints and the neck's; of
    a whole body its pelvis."""
    joints, names = avatar.skeleton.joints.detach().cpu(), avatar.card.joint_names
    if "pelvis" in names:
        return joints[names.index("pelvis")]
    eyes = joints[[Joint.LEFT_EYE, Joint.RIGHT_EYE]].mean(0)
    return (eyes + joints[Joint.NECK]) / 2


def portrait_camera(avatar: Avatar, size_px: int) -> Camera:
    """The portrait's view at another size, on the CPU."""
    return avatar.card.camera.to("cpu", torch.float32).resized(size_px, size_px)
