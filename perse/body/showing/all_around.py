"""Look of an avatar from where no photograph was taken: eight views around it, beside the fitted surface.

Frames that are held out show a person mostly from the front, and a neck in them has ten pixels. What training spoils of
places that hardly any frame shows is seen from the side, and measured here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from perse.body.animation.animator import studio_camera
from perse.body.animation.cloth import hung
from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.visibility import seen_in
from perse.body.avatar import BodyAvatar
from perse.body.model import BodyJoint
from perse.body.model.covers import Cover
from perse.body.model.upsampling import one_ring
from perse.body.showing.drawing import draw, head_shot, picture
from perse.body.training.frames import TargetFrame
from perse.geometry import Camera, orbit
from perse.render import Rasterizer, rasterize
from perse.shapes import Picture

VIEWS = 8
VIEW_PX = 256
HEAD_M = 0.5
"""Side of the close views' windows: hair, neck and collar."""
SHOWN = 0.5


@dataclass(frozen=True)
class AllAround:
    """Means over eight views of the photographed pose, colours in [0, 1].

    Attributes:
        psnr_person: dB between avatar and fitted surface over the surface's pixels; psnr_worst: of the worst view.
        psnr_head, psnr_head_worst: the same of close views of head and neck.
        speckle: root mean square of how far a visible point's colour is from the mean of its neighbours of the same
            cover, by cover; speckle_of_surface: the same of the fitted surface.
        unsupervised: share of the visible person that Gaussians show which no frame showed.
    """

    psnr_person: float
    psnr_worst: float
    psnr_head: float
    psnr_head_worst: float
    speckle: dict[str, float]
    speckle_of_surface: dict[str, float]
    unsupervised: float


def score_all_around(
    avatar: BodyAvatar, person: DressedPerson, frames: Sequence[TargetFrame], rasterizer: Rasterizer
) -> AllAround:
    """Scores of an avatar from all sides.

    Args:
        frames: the photograph and frames of every motion that it was trained on; they tell which points were seen.
    """
    whole, head = views_around(person, VIEW_PX)
    far, near = (_differences(avatar, person, cameras, rasterizer) for cameras in (whole, head))
    visible = _visible(person, whole)
    speckle = speckle_by_cover(avatar, avatar.shown_colors(generated=False).detach(), visible)
    of_surface = speckle_by_cover(avatar, avatar.fitted, visible)
    unseen = ~seen_points(avatar, frames)
    shares = [_share(avatar, person, unseen, camera, rasterizer) for camera in whole]
    return AllAround(
        psnr_person=float(np.mean(far)), psnr_worst=min(far), psnr_head=float(np.mean(near)), psnr_head_worst=min(near),
        speckle=speckle, speckle_of_surface=of_surface, unsupervised=float(np.mean(shares)),
    )  # fmt: skip


def views_around(person: DressedPerson, size_px: int) -> tuple[list[Camera], list[Camera]]:
    """Cameras around the whole person, and closely around head and neck."""
    camera = studio_camera(person, size_px)
    joints = person.model.joint_regressor @ person.rest[: person.model.n_vertices]
    centre = person.parameters.translation + torch.tensor([0.0, float(joints[BodyJoint.SPINE1, 1]), 0.0])
    close, head = head_shot(person, HEAD_M, size_px)
    yaws = [2 * math.pi * number / VIEWS for number in range(VIEWS)]
    return [orbit(camera, centre, yaw) for yaw in yaws], [orbit(close, head, yaw) for yaw in yaws]


def surface_points(person: DressedPerson) -> Float[Tensor, "n 3"]:
    """The fitted surface [n, 3] in the photographed pose, cloth hanging."""
    return hung(person.posed(person.parameters)[None], person.faces, person.looseness, person.thickness_m)[0]


def compared_around(
    avatar: BodyAvatar, person: DressedPerson, size_px: int, rasterizer: Rasterizer
) -> list[list[Picture]]:
    """Comparison of head and neck from all sides: the fitted surface above, the avatar below."""
    own, points = person.parameters, surface_points(person)
    cameras = views_around(person, size_px)[1]
    return [
        [draw_person(person, points, camera).image for camera in cameras],
        [picture(draw(avatar, own.pose, own.translation, camera, rasterizer)) for camera in cameras],
    ]


def speckle_by_cover(avatar: BodyAvatar, colors: Float[Tensor, "n 3"], visible: Bool[Tensor, " n"]) -> dict[str, float]:
    """Root mean square of the colours' Laplacian within a cover, by its name.

    Args:
        colors: [n, 3]; visible: [n] bool.
    """
    first, second = one_ring(avatar.faces).T
    alike = avatar.covers[first] == avatar.covers[second]
    first, second = first[alike], second[alike]
    count = torch.zeros(len(colors)).index_add(0, first, torch.ones(len(first)))
    count = count.index_add(0, second, torch.ones(len(second)))
    total = torch.zeros_like(colors).index_add(0, first, colors[second]).index_add(0, second, colors[first])
    off = (colors - total / count.clamp(min=1)[:, None]).square().mean(-1)
    result = {}
    for cover in Cover:
        chosen = (avatar.covers == cover) & visible & (count > 0)
        if bool(chosen.any()):
            result[cover.name.lower()] = float(off[chosen].mean().sqrt())
    return result


@torch.no_grad()
def seen_points(avatar: BodyAvatar, frames: Sequence[TargetFrame]) -> Bool[Tensor, " n"]:
    """Mask [n] of points that at least one frame shows at more than a grazing angle."""
    found = torch.zeros(len(avatar), dtype=torch.bool)
    for target in frames:
        points = avatar.pose(target.pose[None], target.translation[None]).refined[0]
        found |= seen_in(points, avatar.faces, target.camera, target.alpha.numpy())[1] > 0
    return found


def _differences(
    avatar: BodyAvatar, person: DressedPerson, cameras: Sequence[Camera], rasterizer: Rasterizer
) -> list[float]:  # fmt: skip
    own, points = person.parameters, surface_points(person)
    found = []
    for camera in cameras:
        frame = draw_person(person, points, camera)
        drawn = draw(avatar, own.pose, own.translation, camera, rasterizer).colors.clamp(0, 1).numpy()
        inside = frame.alpha > 255 * SHOWN
        squared = np.square(drawn - frame.image / 255)[inside].mean()
        found.append(float(-10 * np.log10(max(squared, 1e-10))))
    return found


def _visible(person: DressedPerson, cameras: Sequence[Camera]) -> Tensor:
    """[n] bool: points that some view shows."""
    points = surface_points(person)
    everywhere = np.ones((cameras[0].height, cameras[0].width), np.float32)
    seen = [seen_in(points, person.faces, camera, everywhere)[1] > SHOWN for camera in cameras]
    return torch.stack(seen).any(0)


@torch.no_grad()
def _share(
    avatar: BodyAvatar, person: DressedPerson, chosen: Tensor, camera: Camera, rasterizer: Rasterizer
) -> float:  # fmt: skip
    """Share of the drawn person that chosen points [n] show."""
    own = person.parameters
    points = avatar.pose(own.pose[None], own.translation[None]).refined[0]
    drawn = rasterize(avatar.gaussians(points, chosen[:, None].float()), camera, background=None, rasterizer=rasterizer)
    inside = drawn.alphas > SHOWN
    return float(drawn.colors[..., 0][inside].sum() / drawn.alphas[inside].sum().clamp(min=1))
