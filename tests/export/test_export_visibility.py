"""Leaving out what nobody sees: what is hidden goes, what is seen stays, and no picture of the ring changes."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
import torch

from perse.export import SplatScene, orbit, without_unseen
from perse.export.visibility import LEAST_DB, largest_shares, ring_looks
from perse.gaussians import Gaussians
from perse.render import CpuRasterizer, rasterize


def with_more(scene: SplatScene, means: list[list[float]], scale: float, opacity: float = 0.99) -> SplatScene:
    """The scene and some more Gaussians, at the end."""
    g, n = scene.gaussians, len(means)
    f = scene.n_frames
    more = Gaussians(
        torch.tensor(means).expand(f, n, 3), torch.tensor([1.0, 0, 0, 0]).expand(f, n, 4),
        torch.full((f, n, 3), scale), torch.full((f, n), opacity), torch.tensor([1.0, 0, 0]).expand(f, n, 3),
    )  # fmt: skip
    return replace(
        scene, gaussians=Gaussians(*(torch.cat([getattr(g, k.name), getattr(more, k.name)], 1) for k in fields(g)))
    )


@pytest.fixture(scope="module")
def still(scene: SplatScene) -> SplatScene:
    return replace(scene, gaussians=scene.gaussians[:1])


def slow_shares(scene: SplatScene) -> torch.Tensor:
    """What each Gaussian makes of a view's picture, by its own colour in an otherwise black picture."""
    ((_, camera), *_) = ring_looks(scene, 0)
    g = scene.still()
    shares = []
    for index in range(len(g)):
        only = torch.zeros(len(g), 1)
        only[index] = 1
        shares.append(rasterize(replace(g, colors=only), camera, rasterizer=CpuRasterizer()).colors.sum())
    return torch.stack(shares)


def test_shares_are_what_each_gaussian_alone_colors(still: SplatScene) -> None:
    some = torch.arange(0, still.n_gaussians, still.n_gaussians // 25)
    few = replace(still, gaussians=Gaussians(*(getattr(still.gaussians, k.name)[:, some] for k in fields(Gaussians))))
    looks = ring_looks(few, 0)[:1]
    # Float32 blending of many layers in another order.
    assert torch.allclose(largest_shares(few.gaussians, looks), slow_shares(few), rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def ball(still: SplatScene) -> SplatScene:
    """An opaque ball of 10 cm where the head was, of 600 Gaussians."""
    points = torch.nn.functional.normalize(torch.randn(600, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    none = replace(still, gaussians=Gaussians(*(getattr(still.gaussians, k.name)[:, :0] for k in fields(Gaussians))))
    return with_more(none, (still.centre + 0.1 * points).tolist(), 0.02)


def towards_camera(scene: SplatScene) -> torch.Tensor:
    """[3], from the head's centre."""
    return torch.nn.functional.normalize(
        torch.linalg.inv(scene.camera.world_to_camera)[:3, 3] - scene.centre, dim=0
    )  # fmt: skip


def holds(scene: SplatScene, place: torch.Tensor) -> bool:
    return bool(((scene.still().means - place).norm(dim=-1) < 1e-5).any())  # metres: float32 rounding of the same place


def test_the_hidden_go_and_the_seen_stay(ball: SplatScene) -> None:
    inside, before = ball.centre + 0.01, ball.centre + 0.14 * towards_camera(ball)
    own = with_more(ball, [inside.tolist(), before.tolist()], 0.004)
    found = without_unseen(own, 60)
    assert holds(own, inside) and not holds(found.scene, inside) and holds(found.scene, before)
    assert found.left_out == own.n_gaussians - found.scene.n_gaussians < 400
    left = (own.still().means[:, None] == found.scene.still().means[None]).all(-1).nonzero()[:, 0]
    assert len(left) == found.scene.n_gaussians, "in their order, none of them changed"


def test_what_only_the_back_shows_is_kept_all_around(ball: SplatScene) -> None:
    behind = ball.centre - 0.13 * towards_camera(ball)
    own = with_more(ball, [behind.tolist()], 0.004)
    front, around = without_unseen(own, 60), without_unseen(own, 180)
    assert holds(around.scene, behind) and not holds(front.scene, behind)
    assert around.left_out < front.left_out


def test_no_view_of_the_ring_changes(still: SplatScene) -> None:
    found = without_unseen(still, 60)
    assert found.scene.n_gaussians == still.n_gaussians - found.left_out < still.n_gaussians
    assert found.worst_db >= LEAST_DB
    camera = still.camera.resized(200, 200)  # neither the ring's size nor its places
    for yaw, pitch in ((0, 0), (-50, 10), (30, -15), (57, 5)):
        view = orbit(camera, still.centre, math.radians(yaw), math.radians(pitch))
        before, after = (
            rasterize(g, view, background=torch.ones(3), rasterizer=CpuRasterizer())
            for g in (still.still(), found.scene.still())
        )
        seen = before.alphas > 0.02
        assert -10 * torch.log10((before.colors - after.colors)[seen].square().mean()) > 55


def test_a_motion_keeps_what_one_frame_shows(ball: SplatScene) -> None:
    """A Gaussian that is transparent in all frames but the third."""
    place = ball.centre + 0.15 * towards_camera(ball)
    one = with_more(ball, [place.tolist()], 0.004).gaussians
    four = Gaussians(*(getattr(one, k.name).repeat_interleave(4, 0) for k in fields(Gaussians)))
    opacities = four.opacities.clone()
    opacities[:, -1] = 0
    assert not holds(without_unseen(replace(ball, gaussians=replace(four, opacities=opacities)), 60).scene, place)
    opacities[2, -1] = 0.9
    found = without_unseen(replace(ball, gaussians=replace(four, opacities=opacities)), 60)
    assert holds(found.scene, place) and found.scene.n_frames == 4


def test_every_frame_is_looked_at_from_three_sides(scene: SplatScene) -> None:
    names = [field.name for field in fields(Gaussians)]
    long = replace(scene, gaussians=Gaussians(*(getattr(scene.gaussians, k).repeat_interleave(10, 0) for k in names)))
    looks = ring_looks(long, 60)
    assert len(looks) == 3 * long.n_frames
    sides: dict[int, list[float]] = {}
    for frame, camera in looks:
        inverse = torch.linalg.inv(camera.world_to_camera)[:3, 3] - long.centre
        sides.setdefault(frame, []).append(math.degrees(math.atan2(float(inverse[0]), float(inverse[2]))))
    assert set(sides) == set(range(long.n_frames))
    assert all(max(yaws) - min(yaws) > 50 for yaws in sides.values())
    assert len({round(yaw) for yaws in sides.values() for yaw in yaws}) == 7, "all of the ring in the end"


@pytest.mark.parametrize(("reach", "views"), [(60, 21), (180, 54), (40, 15)])
def test_a_still_is_looked_at_from_all_of_the_ring(still: SplatScene, reach: float, views: int) -> None:
    places = {
        tuple(camera.world_to_camera.flatten().round(decimals=4).tolist()) for _, camera in ring_looks(still, reach)
    }
    assert len(places) == len(ring_looks(still, reach)) == views


def test_gaussians_of_inference_are_no_trouble(ball: SplatScene) -> None:
    hiding = with_more(ball, [ball.centre.tolist()], 0.004)
    with torch.inference_mode():
        own = replace(ball, gaussians=Gaussians(*(getattr(hiding.gaussians, k.name) + 0 for k in fields(Gaussians))))
    assert without_unseen(own, 60).left_out > 0
