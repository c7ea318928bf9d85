"""Where an avatar starts: hull, regions, first colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_avatar import START, started

from perse.attributes import Category
from perse.avatar.canonical import OPACITY
from perse.avatar.hull import carve, pack_subjects
from perse.avatar.initialisation import starting_points
from perse.avatar.motion import Skeleton
from perse.avatar.observation import watch
from perse.avatar.points import IdentityMesh, Layer, quaternions_facing, sample_triangles
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


def test_carving_keeps_what_all_frames_agree_on(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    clip = tiny_clips[0][0]
    mesh = IdentityMesh(head_model, clip.parameters)
    skeleton = Skeleton(mesh.joints, head_model.parents, head_model.n_expression, correctives=mesh.correctives)
    watched = watch([clip], skeleton(clip.parameters), mesh, 6)
    full = np.ones((3, *watched.silhouettes.shape[1:]), np.bool_)
    full[1] = watched.silhouettes[0]
    full[2] = False
    hull = carve(mesh, watched.motion, watched.camera, full, voxel_m=0.02)
    assert hull.inside[0].all()  # seen everywhere: nothing is carved
    assert 0 < hull.inside[1].sum() < hull.inside[0].sum()
    assert not hull.inside[2].any()
    alone = carve(mesh, watched.motion, watched.camera, full[1:2], voxel_m=0.02)
    assert alone.inside.sum() == hull.inside[1].sum()  # subjects do not see each other


def test_more_subjects_than_bits_in_a_word_are_carved_alike(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    clip = tiny_clips[0][0]
    mesh = IdentityMesh(head_model, clip.parameters)
    skeleton = Skeleton(mesh.joints, head_model.parents, head_model.n_expression, correctives=mesh.correctives)
    watched = watch([clip], skeleton(clip.parameters), mesh, 2)
    many = np.repeat(watched.silhouettes, 70, 0)
    hull = carve(mesh, watched.motion, watched.camera, many, voxel_m=0.03)
    assert (hull.inside == hull.inside[:1]).all()


def test_packing_keeps_every_subjects_mask() -> None:
    masks = np.random.default_rng(0).random((64, 2, 3, 4)) > 0.5
    words = pack_subjects(masks)
    for subject in (0, 31, 63):
        unpacked = (words >> np.uint64(subject)) & np.uint64(1)
        np.testing.assert_array_equal(unpacked.astype(bool), masks[subject].reshape(2, -1))


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


def test_flat_gaussians_face_along_their_normals() -> None:
    normals = torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    normals[0] = torch.tensor([0.0, 0.0, -1.0])
    turned = quaternion_to_matrix(quaternions_facing(normals)) @ torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(turned, normals, atol=1e-3, rtol=0)
