"""Cameras around the head, from the portrait's own view."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from perse.avatar import Avatar
from perse.geometry import Camera, orbit
from perse.head import Joint

__all__ = ["good_reach_deg", "is_closed", "orbit", "orbit_centre", "portrait_camera", "seen_reach_deg"]

GOOD_REACH_DEG = 40.0
"""To either side an avatar with an open back looks right so far (docs/decisions/012-closed-from-behind.md)."""
SEEN_REACH_DEG = 60.0
"""To either side a viewer is taken to turn such an avatar, though not all that it sees there is right."""


def orbit_centre(avatar: Avatar) -> Float[Tensor, "3"]:
    """Point [3], metres, that cameras walk around: about the middle of the head, between the eyes' joints and the
    neck's; of a whole body its pelvis."""
    joints, names = avatar.skeleton.joints.detach().cpu(), avatar.card.joint_names
    if "pelvis" in names:
        return joints[names.index("pelvis")]
    eyes = joints[[Joint.LEFT_EYE, Joint.RIGHT_EYE]].mean(0)
    return (eyes + joints[Joint.NECK]) / 2


def is_closed(avatar: Avatar) -> bool:
    """Whether an avatar looks right from behind: a whole body, or a head whose back was closed, as the recipe
    laptop-closed does."""
    if "pelvis" in avatar.card.joint_names:
        return True
    backs = avatar.decoder.backs
    return backs is not None and bool(backs.any())


def good_reach_deg(avatar: Avatar) -> float:
    """Angle to either side of the portrait's view, degrees, at which an avatar can be shown: 180 is all around."""
    return 180.0 if is_closed(avatar) else GOOD_REACH_DEG


def seen_reach_deg(avatar: Avatar) -> float:
    """Angle to either side, degrees, from which somebody may look at it in another program; what no such view shows is
    not exported."""
    return 180.0 if is_closed(avatar) else SEEN_REACH_DEG


def portrait_camera(avatar: Avatar, size_px: int) -> Camera:
    """Camera of the portrait's view at another size, on the CPU."""
    return avatar.card.camera.to("cpu", torch.float32).resized(size_px, size_px)
