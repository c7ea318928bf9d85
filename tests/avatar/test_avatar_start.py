"""Where an avatar starts: hull, regions, first colours."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_avatar import START, started

from perse.attributes import Category, Part
from perse.avatar.canonical import OPACITY
from perse.avatar.hull import MINIMUM_FRAMES, HullConfig, HullPart, _weigh, carve, standing_off
from perse.avatar.initialisation import starting_points
from perse.avatar.motion import Skeleton
from perse.avatar.observation import observe, watch
from perse.avatar.points import IdentityMesh, Layer, quaternions_facing, sample_triangles
from perse.avatar.projection import visible_pixels
from perse.data import UNRECORDED
from perse.errors import StageError
from perse.geometry import quaternion_to_matrix


@pytest.fixture(scope="module")
def start(head_model, tiny_clips):  # type: ignore[no-untyped-def]
    return started(head_model, tiny_clips)[0]


def test_the_same_seed_gives_the_same_points(head_model, tiny_clips, start) -> None:  # type: ignore[no-untyped-def]
    edited = [(clip, category) for clip, category in tiny_clips[1:]]
    again = starting_points(head_model, tiny_clips[0][0], edited, START, seed=0)[0]
    assert torch.equal(again.attributes, start.attributes)
    assert torch.equal(again.edits, start.edits)


def test_every_layer_has_its_points(start) -> None:  # type: ignore[no-untyped-def]
    assert torch.bincount(start.layers).tolist() == [900, 500, 200]
    body = start.layers == Layer.BODY
    assert torch.equal(start.prior.skinning[body, 0], torch.ones(200))
    assert not start.prior.blend_basis[body].any()


def test_an_edit_touches_the_region_of_its_category_and_nothing_else(start, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    assert not start.edits[0].any()
    for row, (_, category) in enumerate(tiny_clips):
        if category is not None:
            region = start.regions[:, category.index]
            assert region.any() and not region.all()
            assert start.edits[row, region].any()
            assert not start.edits[row, ~region].any()


def test_regions_lie_where_their_parts_are(start) -> None:  # type: ignore[no-untyped-def]
    height = start.prior.rest[:, 1]
    regions = start.regions
    assert height[regions[:, Category.HAT.index]].mean() > 0.05
    assert height[regions[:, Category.CLOTHES.index]].max() < -0.08
    beard = height[regions[:, Category.BEARD.index]]
    assert -0.15 < beard.mean() < -0.05
    assert not regions[:, Category.EARRINGS.index].any()  # nobody wears any


def test_a_hats_points_are_faint_in_the_reference_and_opaque_with_the_hat(start, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    row = next(i for i, (_, category) in enumerate(tiny_clips) if category is Category.HAT)
    high = (start.layers == Layer.SHELL) & (start.prior.rest[:, 1] > 0.12)
    with_hat = start.attributes[high, OPACITY] + start.edits[row][high, OPACITY]
    assert torch.sigmoid(start.attributes[high, OPACITY]).mean() < 0.2
    assert torch.sigmoid(with_hat).mean() > 0.4


@pytest.fixture(scope="module")
def watched(head_model, tiny_clips):  # type: ignore[no-untyped-def]
    clips = [clip for clip, _ in tiny_clips]
    mesh = IdentityMesh(head_model, clips[0].parameters)
    skeleton = Skeleton(mesh.joints, head_model.parents, head_model.n_expression, correctives=mesh.correctives)
    return mesh, watch(clips, skeleton(clips[0].parameters), mesh, 8)


def test_a_point_is_not_seen_where_the_recording_ended(watched) -> None:  # type: ignore[no-untyped-def]
    mesh, frames = watched
    points = mesh.at_vertices
    whole = observe(points, frames)
    parts, images = frames.parts.copy(), frames.images.copy()
    parts[0, :4, 30:], images[0, :4, 30:] = UNRECORDED, 255
    cut = observe(points, replace(frames, parts=parts, images=images))
    assert (cut.seen <= whole.seen).all() and (cut.seen < whole.seen).any()
    both = cut.seen == whole.seen
    assert both.any() and np.array_equal(cut.colors[0][both], whole.colors[0][both])
    later = replace(frames, parts=parts[:, 4:], images=images[:, 4:], alphas=frames.alphas[:, 4:])
    later = replace(later, motion=frames.motion[4:], occluder=frames.occluder[4:])
    hidden = cut.seen == observe(points, later).seen
    assert hidden.any() and np.array_equal(cut.colors[0][hidden], observe(points, later).colors[0][hidden])
    assert cut.parts.max() < len(Part)


def test_what_stands_off_is_the_references_hair_and_what_edits_put_on(watched, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    categories = [-1 if category is None else category.index for _, category in tiny_clips]
    pieces = standing_off(watched[1], categories)
    assert HullPart(0, Part.HAIR) in pieces
    for row, (_, category) in enumerate(tiny_clips):
        parts = {piece.part for piece in pieces if piece.subject == row}
        expected = {Category.HAT: {Part.HEADWEAR, Part.HAIR}, Category.HAIR: {Part.HAIR}, Category.BEARD: {Part.BEARD}}
        assert row == 0 or parts == expected.get(category, set())


def test_hulls_lie_where_their_pieces_are(watched, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """The hat is a shell 2 to 5 cm off the skull, above y = 4.5 cm; the beard covers the chin."""
    mesh, frames = watched
    rows = {category: row for row, (_, category) in enumerate(tiny_clips)}
    pieces = [HullPart(rows[Category.HAT], Part.HEADWEAR), HullPart(rows[Category.BEARD], Part.BEARD)]
    hull = carve(mesh, frames, pieces, HullConfig(voxel_m=0.008))
    hat, beard = (
        (hull.centres * weight[:, None]).sum(0) / weight.sum() for weight in torch.from_numpy(hull.likelihood)
    )
    assert hat[1] > 0.08 and abs(hat[0]) < 0.02
    assert -0.13 < beard[1] < -0.06 and abs(beard[0]) < 0.02 and beard[2] > 0.05
    assert mesh.height_above(hull.centres).min() > 0


def test_what_few_frames_show_is_not_carved(watched, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """Voxels that two of eight frames saw were a cloud beside the head."""
    mesh, frames = watched
    row = next(row for row, (_, category) in enumerate(tiny_clips) if category is Category.HAT)
    centres = carve(mesh, frames, [HullPart(row, Part.HEADWEAR)], HullConfig(voxel_m=0.008)).centres
    skinning = mesh.near(centres, rigid=True).skinning
    pixels = visible_pixels(centres[None], skinning, frames.motion, frames.camera, frames.occluder)
    assert (pixels >= 0).sum(0).min() >= MINIMUM_FRAMES


def test_pieces_do_not_see_each_other(watched, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    mesh, frames = watched
    rows = {category: row for row, (_, category) in enumerate(tiny_clips)}
    pieces = [HullPart(0, Part.HAIR), HullPart(rows[Category.HAT], Part.HEADWEAR)]
    config = HullConfig(voxel_m=0.012)
    both, alone = carve(mesh, frames, pieces, config), carve(mesh, frames, pieces[1:], config)
    assert (both.likelihood[1] > 0).sum() == (alone.likelihood[0] > 0).sum()


def test_the_same_color_all_the_time_is_likelier_than_a_changing_one() -> None:
    pixels = np.zeros((4, 2), np.int32)
    pixels[:, 1] = np.arange(4)
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images[0, :, 1::2] = 60
    out = np.zeros((1, 2), np.float32)
    _weigh(pixels, np.full((1, 4, 4), 3, np.uint8), images, np.zeros(1, np.int64), 1, out)
    assert out[0, 0] == 1
    assert 0 < out[0, 1] < 0.9


def test_a_projected_vertex_is_hidden_behind_the_head_and_not_before_it(watched) -> None:  # type: ignore[no-untyped-def]
    mesh, frames = watched
    vertices = mesh.at_vertices
    still = frames.motion[0:1]
    points = torch.tensor([[[0.0, 0.0, 0.3], [0.0, 0.0, -0.3], [0.0, 3.0, 0.0]]])
    rigid = torch.nn.functional.one_hot(torch.tensor([0, 0, 0]), vertices.skinning.shape[1]).float()
    pixels = visible_pixels(points, rigid, still, frames.camera, frames.occluder[0:1])
    assert pixels[0, 0] >= 0 and pixels[0, 1] == -1 and pixels[0, 2] == -1
    open_view = visible_pixels(points, rigid, still, frames.camera)
    assert open_view[0, 1] >= 0
    expected, _ = frames.camera.project(points[0, :1])
    assert open_view[0, 0] == int(expected[0, 1]) * frames.camera.width + int(expected[0, 0])


def test_clips_of_different_frames_are_refused(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    clip = tiny_clips[0][0]
    odd = replace(clip, frame_numbers=clip.frame_numbers + 1)
    with pytest.raises(StageError, match="one motion"):
        starting_points(head_model, clip, [(odd, Category.HAT)], START, seed=0)


def test_samples_follow_the_density() -> None:
    density = torch.tensor([1.0, 0.0, 3.0])
    triangles, weights = sample_triangles(density, 4000, np.random.default_rng(0))
    assert torch.bincount(triangles, minlength=3).tolist() == [1000, 0, 3000]
    torch.testing.assert_close(weights.sum(1), torch.ones(4000))
    with warnings.catch_warnings(action="error"):  # a piece that is owed no point is no reason for a warning
        triangles, weights = sample_triangles(density, 0, np.random.default_rng(0))
    assert len(triangles) == len(weights) == 0


def test_flat_gaussians_face_along_their_normals() -> None:
    normals = torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    normals[0] = torch.tensor([0.0, 0.0, -1.0])
    turned = quaternion_to_matrix(quaternions_facing(normals)) @ torch.tensor([0.0, 0.0, 1.0])
    # Float32: half angles near a half turn lose half of the digits.
    torch.testing.assert_close(turned, normals, atol=1e-3, rtol=0)
