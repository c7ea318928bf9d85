"""The back of an avatar: directions around a head, what covers it, and points that no frame shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_avatar import CLOSED, PART_BASES, started, synthetic_avatar

from perse.attributes import Category
from perse.avatar.around import Around, HeadAxis, within_reach
from perse.avatar.body import relief_distance, relief_loss
from perse.avatar.canonical import OPACITY
from perse.avatar.covering import NAPE_M, BareRadius, colors_behind, cover_of
from perse.avatar.points import Layer
from perse.head import Joint

AXIS = HeadAxis(np.array([0.0, 0.02, 0.0]))


def _sphere(radius: float, count: int = 4000, lowest: float = -1.0) -> np.ndarray:
    """Points all over a ball around the axis's centre, above a height."""
    golden = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    y = np.linspace(-1, 1, count)
    flat = np.sqrt(1 - y**2)
    points = radius * np.stack([flat * np.cos(golden), y, flat * np.sin(golden)], 1)
    return AXIS.centre + points[points[:, 1] > lowest]


def test_places_and_points_are_inverse() -> None:
    points = np.random.default_rng(0).normal(0, 0.1, (500, 3))
    np.testing.assert_allclose(AXIS.points(AXIS.around(points)), points, atol=1e-12)  # float64: an arc tangent and back


def test_azimuth_is_zero_in_front_and_grows_to_the_left() -> None:
    azimuth = AXIS.around(AXIS.centre + np.array([[0, 0, 1.0], [1, 0, 0], [0, 0, -1]])).azimuth
    np.testing.assert_allclose(azimuth, [0, np.pi / 2, np.pi])


def test_spikes_behind_a_head_are_out_of_reach_and_its_own_back_is_not() -> None:
    ball = _sphere(0.1)
    spikes = AXIS.centre + np.array([[0, 0.03, -0.2], [0.02, -0.03, -0.17]])
    points = np.concatenate([ball, spikes])
    near = within_reach(AXIS, points, np.ones((1, len(points)), np.bool_))[0]
    assert near[: len(ball)].all() and not near[len(ball) :].any()


def _front(points: np.ndarray) -> Around:
    around = AXIS.around(points)
    return around[np.abs(around.azimuth) < np.radians(110)]


def test_hair_goes_around_as_thick_as_it_is_at_the_sides_down_to_the_nape() -> None:
    skull = BareRadius.of(AXIS, _sphere(0.09))
    cover = cover_of(skull, _front(_sphere(0.11, lowest=-0.02)))
    heights = np.array([0.1, 0.05, 0.0, NAPE_M + 0.01, NAPE_M - 0.03])
    assert cover.continues(heights).tolist() == [True, True, True, True, False]
    behind = Around(np.array([np.pi, 2.5, -2.5]), np.full(3, 0.06), np.ones(3))
    # Metres: both spheres are sampled, and read in rows of height.
    np.testing.assert_allclose(cover.radius(skull, behind), 0.11, atol=0.003)


def test_long_hair_hangs_down_the_back_as_far_as_at_the_sides() -> None:
    skull = BareRadius.of(AXIS, _sphere(0.09))
    strands = AXIS.centre + np.array([[side * 0.1, y, 0.02 * k] for side in (-1, 1) for y in np.arange(-0.2, 0, 0.004)
                                      for k in range(-2, 3)])  # fmt: skip
    cover = cover_of(skull, _front(np.concatenate([_sphere(0.11, lowest=-0.02), strands])))
    assert cover.continues(np.array([-0.15, -0.19])).all() and not cover.continues(np.array([-0.25])).any()


def test_a_bald_head_stays_bald_behind() -> None:
    skull = BareRadius.of(AXIS, _sphere(0.09))
    fringe = _sphere(0.1)
    fringe = fringe[(fringe[:, 1] < 0.03) & (fringe[:, 1] > 0)]
    cover = cover_of(skull, _front(fringe))
    assert not cover.continues(np.array([0.05, 0.1, 0.14])).any()


def test_colours_behind_are_those_of_the_same_height() -> None:
    seen = _front(_sphere(0.11))
    colors = np.where(seen.height[:, None] > 0.05, [1.0, 0, 0], [0, 0, 1.0])
    places = Around(np.full(2, np.pi), np.array([0.1, 0.0]), np.ones(2))
    found = colors_behind(places, seen, colors, np.random.default_rng(0))
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 0, 1]])


@pytest.fixture(scope="module")
def start(head_model, tiny_clips):  # type: ignore[no-untyped-def]
    return started(head_model, tiny_clips, CLOSED)[0]


def test_backs_lie_behind_and_are_the_last_points(start, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    back = start.layers == Layer.BACK
    assert back.sum() > 20
    assert torch.equal(torch.nonzero(back)[:, 0], torch.arange(len(back) - int(back.sum()), len(back)))
    camera = tiny_clips[0][0].camera
    depth = camera.to_camera(start.prior.rest)[:, 2]
    assert depth[back].median() > depth[start.layers == Layer.HEAD].median() + 0.03


def test_only_what_changes_the_cover_or_the_clothes_changes_the_back(start, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    back = start.layers == Layer.BACK
    changing = {Category.HAIR, Category.HAT, Category.CLOTHES}
    for row, (_, category) in enumerate(tiny_clips):
        if category not in changing:
            assert not start.edits[row, back].any()
    hat = next(row for row, (_, category) in enumerate(tiny_clips) if category is Category.HAT)
    assert start.edits[hat, back].any()


def test_backs_do_not_learn(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, PART_BASES, CLOSED)
    fixed = avatar.decoder.fixed
    canonical = avatar.canonicalise(avatar.subject_codes())
    canonical.attributes.square().sum().backward()
    assert fixed.any() and avatar.decoder.base.grad is not None
    assert not avatar.decoder.base.grad[fixed].any() and avatar.decoder.base.grad[~fixed].any()
    for members, basis in zip(avatar.decoder.members, avatar.decoder.bases, strict=True):
        if basis.grad is not None and basis.numel():
            assert not basis.grad[:, fixed[members]].any()


def test_an_avatar_from_before_there_were_backs_can_be_read(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, PART_BASES, CLOSED)
    state = avatar.state_dict()
    del state["decoder.fixed"]
    avatar.load_state_dict(state)
    assert not avatar.decoder.fixed.any()


def test_the_bodys_depth_is_held_and_nothing_else(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """Zero on the relief; moving a point a centimetre along its depth costs its share of a square centimetre."""
    start, mesh = started(head_model, tiny_clips)
    camera, neck = tiny_clips[0][0].camera, mesh.joints[Joint.NECK]
    body = start.layers == Layer.BODY
    means, skinning = start.prior.rest[None], start.prior.skinning
    assert relief_distance(means[0, body], neck, camera).abs().max() < 1e-3
    assert relief_loss(means[:, body], skinning[body], neck, camera) < 1e-2
    moved = means[:, body] - 0.01 * camera.world_to_camera[2, :3]
    # The relief slopes, and a point's nearest place moves with it.
    assert relief_loss(moved, skinning[body], neck, camera) == pytest.approx(1, rel=0.1)
    on_head = start.layers == Layer.SHELL
    assert relief_loss(means[:, on_head], skinning[on_head], neck, camera) == 0
    assert torch.sigmoid(start.attributes[body, OPACITY]).mean() > 0.2
