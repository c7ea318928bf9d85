"""Cloth read off an outline, covers told by colour, colours carried through the body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from body_people import standing
from numpy.typing import NDArray

from perse.body.animation.studio_camera import looking_at
from perse.body.fitting.covering import vertex_covers
from perse.body.fitting.fill import UNSEEN_COLOR, fill_colors
from perse.body.fitting.layer import (
    THIN_GARMENT_M,
    layer_thickness,
    read_outline,
    shape_towards,
    smooth_normals,
    within_mask,
)
from perse.body.model import BodyRegion, body_regions, pose_body
from perse.body.model.covers import Cover
from perse.body.model.stance import Stance, stance_pose
from perse.body.model.upsampling import unit_normals
from perse.geometry import Camera
from perse.head import HeadModel
from perse.render import project_vertices, rasterize_mesh

CAMERA = looking_at((0.0, -0.72, 0.0), 4.0, 700.0, 360, 360)


def drawn(points: torch.Tensor, model: HeadModel, camera: Camera = CAMERA) -> NDArray[np.float32]:
    faces = model.faces.numpy().astype(np.int32)
    return (rasterize_mesh(project_vertices(points.numpy(), camera), faces, 360, 360).face >= 0).astype(np.float32)


@pytest.fixture(scope="module")
def posed(body_model: HeadModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices of a body that stands with its arms away, so that its sides are seen, and smooth normals."""
    person = standing(body_model)
    away = replace(person, pose=stance_pose(body_model, Stance(arm=(0.9, 0.9), spread=(0.1, 0.1))))
    vertices = pose_body(body_model, away).vertices
    return vertices, smooth_normals(vertices, body_model.faces)


def test_a_garments_thickness_is_read_off_the_outline(
    body_model: HeadModel, posed: tuple[torch.Tensor, torch.Tensor]
) -> None:
    vertices, normals = posed
    regions = body_regions(body_model)
    trousers = (regions == BodyRegion.LOWER_LEG) | (regions == BodyRegion.UPPER_LEG)
    worn = torch.where(trousers, 0.03, 0.0)
    mask = drawn(vertices + worn[:, None] * normals, body_model)
    outline = read_outline(vertices, normals, regions, CAMERA, mask, drawn(vertices, body_model))
    found = layer_thickness(outline, regions, body_model.faces)
    assert outline.observed.sum() > 100
    # Metres: two pixels of the outline, 6 mm each.
    assert float(found[regions == BodyRegion.LOWER_LEG].median()) == pytest.approx(0.03, abs=0.01)
    assert float(found[regions == BodyRegion.TORSO].median()) < 0.012
    assert found[regions == BodyRegion.HAND].abs().max() == 0


def test_a_wider_person_gets_a_wider_body_and_not_thicker_cloth(
    body_model: HeadModel, posed: tuple[torch.Tensor, torch.Tensor]
) -> None:
    vertices, normals = posed
    regions = body_regions(body_model)
    thin = THIN_GARMENT_M * normals
    heavier = vertices + 3 * body_model.shape_basis[..., 1] + thin
    mask, own = drawn(heavier, body_model), drawn(vertices, body_model)
    outline = read_outline(vertices, normals, regions, CAMERA, mask, own)
    still = torch.eye(3).expand(len(vertices), 3, 3)
    joints = torch.einsum("jv,vcs->jcs", body_model.joint_regressor, body_model.shape_basis)
    change = shape_towards(body_model.shape_basis, joints, still, normals, outline)
    moved = vertices + body_model.shape_basis @ change
    before, after = ((mask != drawn(points, body_model)).sum() for points in (vertices + thin, moved + thin))
    assert after < 0.75 * before


def test_no_cloth_is_left_outside_of_the_mask(body_model: HeadModel, posed: tuple[torch.Tensor, torch.Tensor]) -> None:
    vertices, normals = posed
    regions = body_regions(body_model)
    mask = drawn(vertices, body_model)
    found = within_mask(torch.full((len(vertices),), 0.04), vertices, normals, regions, CAMERA, mask)
    pixels = CAMERA.project(vertices + found[:, None] * normals)[0].long()
    inside = torch.from_numpy(mask)[pixels[:, 1], pixels[:, 0]] > 0.5
    legs = regions == BodyRegion.LOWER_LEG
    assert inside[legs].float().mean() > 0.9
    assert float(found[regions == BodyRegion.TORSO].max()) == pytest.approx(0.04)  # in front it stays


_CLOTHED = (BodyRegion.TORSO, BodyRegion.HIP, BodyRegion.UPPER_LEG)


def covered(
    model: HeadModel, colors: torch.Tensor, seen: torch.Tensor, hair: torch.Tensor | None = None
) -> torch.Tensor:
    joints = model.joint_regressor @ model.template
    return vertex_covers(model.template, joints, model.faces, body_regions(model), colors, seen, hair)


def test_covers_follow_colours(body_model: HeadModel) -> None:
    regions, height = body_regions(body_model), body_model.template[:, 1]
    skin, red, blue = torch.tensor([0.8, 0.6, 0.5]), torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.7])
    colors = torch.where((height > -0.6)[:, None], red, blue)
    bare = (regions == BodyRegion.FACE) | (regions == BodyRegion.HAND) | (regions == BodyRegion.FOREARM)
    colors = torch.where(bare[:, None], skin, colors)
    covers = covered(body_model, colors, torch.ones(len(height)))

    def share(region: BodyRegion, cover: Cover) -> float:
        return float((covers[regions == region] == cover).float().mean())

    assert share(BodyRegion.FOREARM, Cover.SKIN) > 0.9  # short sleeves
    assert share(BodyRegion.UPPER_ARM, Cover.UPPER) > 0.8
    assert share(BodyRegion.LOWER_LEG, Cover.LOWER) > 0.9
    middle = (regions == BodyRegion.TORSO) | (regions == BodyRegion.HIP)
    right = torch.where(height > -0.6, int(Cover.UPPER), int(Cover.LOWER))
    assert (covers == right)[middle & ((height + 0.6).abs() > 0.03)].float().mean() > 0.95


def test_a_bare_nape_does_not_come_down_into_a_collars_back(body_model: HeadModel) -> None:
    """From in front a wide neckline is seen; the back of the garment is not."""
    regions, place = body_regions(body_model), body_model.template
    trunk = regions == BodyRegion.TORSO
    neckline = trunk & (place[:, 2] > 0) & (place[:, 0].abs() < 0.08) & (place[:, 1] > place[trunk, 1].max() - 0.1)
    bare = neckline | torch.isin(regions, torch.tensor([int(one) for one in (BodyRegion.FACE, BodyRegion.NECK)]))
    bare |= torch.isin(regions, torch.tensor([int(BodyRegion.SCALP), int(BodyRegion.HAND)]))
    colors = torch.where(bare[:, None], torch.tensor([0.8, 0.6, 0.5]), torch.tensor([0.1, 0.4, 0.4]))
    front = unit_normals(place, body_model.faces)[:, 2] > 0
    covers = covered(body_model, colors, front.float())
    back = trunk & ~front
    assert (covers[back] == Cover.UPPER).all()
    assert (covers[neckline & front] == Cover.SKIN).float().mean() > 0.8


def test_a_dress_is_one_garment(body_model: HeadModel) -> None:
    """Down to the knees in one colour, darker below; the same in two colours is a top and a skirt."""
    regions, height = body_regions(body_model), body_model.template[:, 1]
    bare = torch.isin(regions, torch.tensor([int(one) for one in BodyRegion if one not in _CLOTHED]))
    middle = torch.isin(regions, torch.tensor([int(one) for one in _CLOTHED]))

    def lower_share(below: list[float]) -> float:
        colors = torch.where((height > -0.7)[:, None], torch.tensor([0.3, 0.65, 0.75]), torch.tensor(below))
        colors = torch.where(bare[:, None], torch.tensor([0.8, 0.6, 0.5]), colors)
        covers = covered(body_model, colors, torch.ones(len(height)))
        return float((covers[middle] == Cover.LOWER).float().mean())

    assert lower_share([0.25, 0.55, 0.64]) == 0
    assert lower_share([0.6, 0.2, 0.2]) > 0.2


def test_a_back_takes_its_fronts_colours_and_what_nobody_saw_is_plain() -> None:
    place = torch.rand(400, 3) * torch.tensor([0.3, 0.5, 0.2])
    front = place[:, 2] > 0.1
    covers = torch.full((400,), int(Cover.UPPER))
    covers[:50] = int(Cover.LOWER)
    stripes = torch.where((place[:, 1] > 0.25)[:, None], torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1]))
    colors = torch.where(front[:, None], stripes, torch.zeros(3))
    fill = fill_colors(place, covers, colors, (front & (covers == Cover.UPPER)).float())
    back = ~front & (covers == Cover.UPPER) & ((place[:, 1] - 0.25).abs() > 0.06)
    # Colours are means of neighbours, of which some lie across the border.
    torch.testing.assert_close(fill[back], stripes[back], atol=0.15, rtol=0)
    plain = torch.tensor(UNSEEN_COLOR[Cover.LOWER]) / 255
    torch.testing.assert_close(fill[covers == Cover.LOWER], plain.expand(50, 3))
