"""What the measure from all sides sees: speckled colours, holes, and points that no frame has shown."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from perse.body.animation.animator import ProceduralBodyAnimatorConfig
from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import Filmed
from perse.body.avatar import BodyAvatar, OffsetConfig, start_avatar
from perse.body.model.covers import Cover
from perse.body.model.upsampling import unit_normals
from perse.body.showing.all_around import (
    AllAround,
    score_all_around,
    seen_points,
    speckle_by_cover,
    surface_points,
    views_around,
)
from perse.body.training.frames import TargetFrame, frame_of
from perse.render import CpuRasterizer, rasterize


@pytest.fixture(scope="module")
def person(dressed: DressedPerson) -> DressedPerson:
    """Skin of one colour, a shirt of another."""
    shirt = (dressed.covers == Cover.UPPER)[:, None]
    return replace(dressed, fill=torch.where(shirt, torch.tensor([0.1, 0.4, 0.5]), torch.tensor(0.7)))


def painted(person: DressedPerson) -> BodyAvatar:
    return start_avatar(person, person.fill, OffsetConfig(features=2, resolution=8, hidden=8), 0)


@pytest.fixture(scope="module")
def frames(person: DressedPerson) -> list[TargetFrame]:
    """From four sides, the front first."""
    clip = ProceduralBodyAnimatorConfig().build().film(person, Filmed("turn", 4), 64)
    return [frame_of(clip, number, generated=True) for number in range(4)]


def speckled(avatar: BodyAvatar, chosen: torch.Tensor) -> BodyAvatar:
    noise = 0.3 * torch.randn(len(avatar), 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        avatar.colors += noise * chosen[:, None]
    return avatar


@pytest.fixture(scope="module")
def scores(person: DressedPerson, frames: list[TargetFrame]) -> tuple[AllAround, AllAround]:
    """As it was fitted and from the front alone; and with speckles behind, and frames of four sides."""
    behind = person.rest[:, 2] < person.rest[:, 2].median()
    return (
        score_all_around(painted(person), person, frames[:1], CpuRasterizer()),
        score_all_around(speckled(painted(person), behind), person, frames, CpuRasterizer()),
    )


def test_speckles_that_no_frame_shows_are_found(scores: tuple[AllAround, AllAround]) -> None:
    fitted, spoilt = scores
    # A share: one point of the some thousand of skin.
    assert fitted.speckle == fitted.speckle_of_surface and fitted.speckle["skin"] < 1e-3
    assert spoilt.speckle["skin"] > 0.05 and spoilt.speckle_of_surface["skin"] < 1e-3  # a share: as above
    assert spoilt.psnr_worst < fitted.psnr_worst - 1


def test_the_border_between_covers_is_no_speckle(person: DressedPerson) -> None:
    avatar = painted(person)
    everywhere = torch.ones(len(avatar), dtype=torch.bool)
    # A share: one point of some thousand.
    assert max(speckle_by_cover(avatar, avatar.fitted, everywhere).values()) < 1e-3


def test_a_front_view_says_nothing_about_the_back(
    person: DressedPerson, frames: list[TargetFrame], scores: tuple[AllAround, AllAround]
) -> None:
    front, around = (seen_points(painted(person), some) for some in (frames[:1], frames))
    forward = person.rest[:, 2] > person.rest[:, 2].quantile(0.9)
    assert front[forward].float().mean() > 0.3 and (around | ~front).all()
    assert scores[0].unsupervised > 0.5 > scores[1].unsupervised


def test_one_does_not_see_through_a_surface(person: DressedPerson) -> None:
    """Of all points only those that face the camera are drawn: nearly nothing of what is behind comes through."""
    avatar, own = painted(person), person.parameters
    camera = views_around(person, 192)[0][0]
    points = avatar.pose(own.pose[None], own.translation[None]).refined[0]
    eye = -camera.world_to_camera[:3, :3].T @ camera.world_to_camera[:3, 3]
    towards = torch.nn.functional.normalize(eye - points, dim=-1)
    facing = (unit_normals(points, avatar.faces) * towards).sum(-1) > -0.1
    front = avatar.posed(own.pose, own.translation)[facing]
    alpha = rasterize(front, camera, background=None, rasterizer=CpuRasterizer()).alphas.numpy()
    inside = draw_person(person, surface_points(person), camera).alpha > 250
    inside = cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert float((1 - alpha[inside]).mean()) < 0.03  # .09 at an opacity of .8 and scales of .45 edges
