"""Orbit of views around an avatar, where no training frame can say what is right, and its numbers.

Two things that a person notices at once are measured: splats that hang in the air beside or behind the person, and
colours that the person does not have.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from perse.avatar import Avatar
from perse.avatar.around import HeadAxis, within_reach
from perse.avatar.body import relief_distance
from perse.data import PortraitClip
from perse.gaussians import Gaussians
from perse.geometry import orbit
from perse.head import HeadParameters, Joint
from perse.render import Rasterizer, rasterize

ANGLES_DEG = (-40, -20, 20, 40, 90, 135, 180, 225, 270)
"""Where the camera stands; the frames look from 0."""

SHOWN = 0.1
"""Fainter splats are left out."""

IN_FRONT_M, TORSO_M = 0.03, 0.22
"""How far a body may reach before its relief and behind it."""

FARTHEST_M = 0.26
"""No hair and no hat reaches farther from the axis of a head."""

FOREIGN_LEVELS = 14.0
"""Distance in CIE Lab at which two colours are different ones."""

PALETTE = 4000
"""Colours kept of a training frame."""


@dataclass(frozen=True)
class ViewSweep:
    """Numbers of an orbit around the reference at rest.

    Attributes:
        outside: share of the visible splats, by opacity, outside of the volume of head and body.
        foreign: by angle in degrees: share of the person's pixels whose colour the nearest training view, the one with
            the head turned most alike, does not have.
        hazy: by angle: share of the person's pixels that are half transparent, away from the outline.
        worst_deg: where foreign and hazy together are largest.
    """

    outside: float
    foreign: dict[str, float]
    hazy: dict[str, float]
    worst_deg: int


@torch.no_grad()
def view_sweep(avatar: Avatar, clip: PortraitClip, rasterizer: Rasterizer) -> ViewSweep:
    """Numbers of a walk around the reference.

    Args:
        avatar: trained.
        clip: the reference's training frames.
    """
    code = avatar.latents.reference
    still = HeadParameters(
        torch.zeros(0), torch.zeros(0, 3), torch.zeros(1, avatar.skeleton.n_expression),
        torch.zeros(1, len(avatar.card.joint_names), 3),
    )  # fmt: skip
    gaussians = avatar.pose(avatar.canonicalise(code), avatar.skeleton(still.to(avatar.device)))
    home = avatar.card.camera.to("cpu", torch.float32)
    centre = torch.from_numpy(HeadAxis.of(avatar.skeleton.joints).centre).float()
    turned = _yaws_deg(clip.parameters)
    foreign, hazy = {}, {}
    for angle in ANGLES_DEG:
        camera = orbit(home, centre, float(np.radians(angle))).to(avatar.device)
        seen = avatar.seen_from(camera, gaussians)
        drawn = rasterize(seen, camera, background=torch.ones(3, device=avatar.device), rasterizer=rasterizer)
        alpha = drawn.alphas[0].cpu().numpy()
        picture = drawn.colors[0].clamp(0, 1).cpu().numpy()
        nearest = int(np.abs(turned + (angle + 180) % 360 - 180).argmin())
        palette = clip.images[nearest][clip.alphas[nearest] > 250]
        foreign[str(angle)] = foreign_share(picture[alpha > 0.9], palette)
        hazy[str(angle)] = hazy_share(alpha)
    worst = max(ANGLES_DEG, key=lambda angle: foreign[str(angle)] + hazy[str(angle)])
    return ViewSweep(outside_share(avatar, gaussians), foreign, hazy, worst)


def outside_share(avatar: Avatar, gaussians: Gaussians) -> float:
    """Share of the splats [1, n] of a head at rest, by opacity, that are outside head and body.

    The body reaches a little before its relief and a torso's depth behind it; what is on the head is within reach of
    its axis, and behind it no farther than it is wide (`perse.avatar.around.within_reach`).
    """
    opacity = gaussians.opacities[0].cpu().double().numpy()
    shown = opacity > SHOWN
    means = gaussians.means[0].cpu()
    joints = avatar.skeleton.joints.cpu()
    front = relief_distance(means, joints[Joint.NECK], avatar.card.camera.to("cpu", torch.float32)).numpy()
    body = (front < IN_FRONT_M) & (front > -TORSO_M) & _below(means, joints)
    axis = HeadAxis.of(joints)
    around = axis.around(means.numpy())
    head = within_reach(axis, means.numpy(), shown[None])[0] & (around.radius < FARTHEST_M)
    return float(opacity[shown & ~body & ~head].sum() / max(opacity[shown].sum(), 1e-9))


def foreign_share(colors: Float[NDArray[np.float32], "n 3"], palette: UInt8[NDArray[np.uint8], "m 3"]) -> float:
    """Share of colours [n, 3] in [0, 1] that are far from all of a palette [m, 3] uint8; 0 if either is empty."""
    if not len(colors) or not len(palette):
        return 0.0
    known = _lab(palette[:: max(1, len(palette) // PALETTE)].astype(np.float32) / np.float32(255))
    away, _ = cKDTree(known).query(_lab(colors), distance_upper_bound=FOREIGN_LEVELS)
    return float(np.mean(~np.isfinite(away)))


def hazy_share(alpha: Float[NDArray[np.float32], "h w"], outline_px: int = 7) -> float:
    """Share of a silhouette [h, w] in [0, 1] that is neither there nor not, away from the outline of what is."""
    solid = (alpha > 0.85).astype(np.uint8)
    near = cv2.dilate(solid, np.ones((outline_px, outline_px), np.uint8)) > 0
    hazy = (alpha > 0.08) & (alpha <= 0.85) & ~near
    return float(hazy.sum() / max(int((alpha > 0.08).sum()), 1))


def _below(means: Tensor, joints: Tensor) -> NDArray[np.bool_]:
    """Points below the neck's joint."""
    return np.asarray((means[:, 1] < joints[Joint.NECK, 1]).numpy())


def _yaws_deg(motion: HeadParameters) -> NDArray[np.float64]:
    """How far the head is turned in every frame, degrees."""
    return np.degrees(motion.pose[..., Joint.NECK, 1].cpu().double().numpy().reshape(-1))


def _lab(colors: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colors, np.float32)[None], cv2.COLOR_RGB2LAB)[0])
