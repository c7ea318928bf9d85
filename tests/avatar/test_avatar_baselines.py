"""The paper's baselines: each keeps the decoder's contract and equals what its paper writes, the long way."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_avatar import synthetic_avatar
from tolerances import CHAIN, CHAIN_GRADIENT, DOUBLE

from perse.avatar import Avatar, load_avatar, save_avatar
from perse.avatar.baselines import InstaConfig, PegasusConfig, SplattingAvatarConfig
from perse.avatar.baselines.embedding import embed, nearest_weights
from perse.avatar.baselines.hash_grid import PRIMES, HashGrid
from perse.avatar.baselines.insta import _Surface
from perse.avatar.baselines.volume import Rays, composite, middles
from perse.avatar.canonical import COLOR, MEAN
from perse.avatar.naive import naive_mlp
from perse.avatar.points import vertex_normals
from perse.geometry import quaternion_to_matrix
from perse.render import CpuRasterizer
from perse.training import ClipStore, LearningRates, Trainer, TrainingConfig

PEGASUS = PegasusConfig(
    deform_width=16, deform_depth=2, color_width=16, color_depth=3, color_skip=1, color_octaves=3, pose_width=8,
    pose_depth=2,
)  # fmt: skip
SPLATTING = SplattingAvatarConfig(width=16, depth=2, octaves=3)
INSTA = InstaConfig(width=16, depth=2, levels=4, rows=2**10, coarsest=6, finest=32, samples=12, window_px=40)
BASELINES = {config.kind: config for config in (PEGASUS, SPLATTING, INSTA)}


@pytest.fixture(scope="module", params=BASELINES)
def baseline(request, head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    return synthetic_avatar(head_model, tiny_clips, decoder=BASELINES[request.param])


def pictures(avatar: Avatar, tiny_clips, rows: list[int]) -> torch.Tensor:  # type: ignore[no-untyped-def]
    reference = tiny_clips[0][0]
    motion = avatar.skeleton(reference.parameters.frame(torch.arange(len(rows))))
    canonical = avatar.canonicalise(avatar.subject_codes(torch.tensor(rows)))
    of_frame = torch.arange(len(rows))
    return avatar.draw(canonical, motion, of_frame, reference.camera, CpuRasterizer()).colors


def test_several_subjects_at_once_equal_one_by_one(baseline: Avatar, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    codes = baseline.subject_codes().detach()
    parameters = tiny_clips[0][0].parameters.frame(torch.arange(3))
    together = baseline.pose(baseline.canonicalise(codes), parameters, torch.tensor([4, 0, 1]))
    for frame, row in enumerate((4, 0, 1)):
        alone = baseline.pose(baseline.canonicalise(codes[row]), parameters.frame(slice(frame, frame + 1)))
        for name in ("means", "quats", "scales", "opacities", "colors"):
            torch.testing.assert_close(getattr(together, name)[frame], getattr(alone, name)[0], **CHAIN)


def test_saving_and_loading_changes_no_picture(baseline: Avatar, tiny_clips, tmp_path) -> None:  # type: ignore[no-untyped-def]
    save_avatar(baseline, tmp_path)
    again = load_avatar(tmp_path)
    with torch.no_grad():
        ours, theirs = (pictures(avatar, tiny_clips, [0, 2]) for avatar in (baseline, again))
    assert torch.equal(ours, theirs)
    assert (ours < 0.9).any()


def test_insta_begins_with_the_person_and_not_with_fog(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=INSTA)
    with torch.no_grad():
        shown = pictures(avatar, tiny_clips, [0])[0]
    truth = torch.from_numpy(np.array(tiny_clips[0][0].images[0])).float() / 255
    white = ((truth - 1) ** 2).mean()
    assert ((shown - truth) ** 2).mean() < 0.25 * white, "a mean colour would be left with its variance"
    again = synthetic_avatar(head_model, tiny_clips, decoder=INSTA)
    assert all(torch.equal(a, b) for a, b in zip(avatar.parameters(), again.parameters(), strict=True))


def test_training_lowers_the_loss_and_reaches_every_network(baseline: Avatar, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    config = TrainingConfig(steps=40, edits_per_step=2, warmup_steps=4, rates=LearningRates(networks=8e-3))
    store = ClipStore([clip for clip, _ in tiny_clips])
    trainer = Trainer(baseline, store, config, rasterizer=CpuRasterizer())
    before = {name: value.detach().clone() for name, value in baseline.named_parameters()}

    def loss() -> float:
        with torch.no_grad():
            whole = pictures(baseline, tiny_clips, [0, 2, 3])
        truth = np.stack([tiny_clips[row][0].images[frame] for frame, row in enumerate((0, 2, 3))])
        return float((whole - torch.from_numpy(truth).float() / 255).abs().mean())

    first = loss()
    for _ in range(30):
        trainer.step()
    assert loss() < 0.97 * first
    still = [name for name, value in baseline.named_parameters() if torch.equal(value, before[name])]
    assert not [name for name in still if name.startswith("decoder.")]


def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(head_model, tiny_clips, baseline) -> None:  # type: ignore[no-untyped-def]
    config = TrainingConfig(steps=6, edits_per_step=1, warmup_steps=2)
    store = ClipStore([clip for clip, _ in tiny_clips])

    def trainer() -> Trainer:
        avatar = synthetic_avatar(head_model, tiny_clips, decoder=baseline.config.decoder)
        return Trainer(avatar, store, config, rasterizer=CpuRasterizer())

    whole, first, second = trainer(), trainer(), trainer()
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    second.resume(first.checkpoint())
    for _ in range(2):
        second.step()
    wanted, found = whole.avatar.state_dict(), second.avatar.state_dict()
    assert wanted.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in wanted.items())


def distance_of(decoder: Any, points: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """PEGASUS' signed distance [1, n], the long way and in float64."""
    decoder = copy.deepcopy(decoder).double()
    sphere = (points - decoder.centre).norm(dim=-1) / 0.15 - 1
    return sphere + naive_mlp(decoder.color, decoder.encoded(points), z.double())[..., 0]


def test_pegasus_normals_are_the_distances_gradient(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=PEGASUS)
    decoder, z = avatar.decoder, avatar.subject_codes().detach().flatten(1)[:1]
    points = decoder.positions.detach()[None, :40].clone()
    geometry, _ = decoder.geometry(points, z)
    torch.testing.assert_close(geometry[..., 3].double(), distance_of(decoder, points.double(), z), **CHAIN)
    for axis in range(3):
        shift = 1e-7 * torch.eye(3, dtype=torch.double)[axis]
        ends = [distance_of(decoder, points.double() + sign * shift, z) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-7 * 0.15
        torch.testing.assert_close(geometry[..., axis].double(), slope, **CHAIN_GRADIENT)


def test_pegasus_learns_through_its_normals(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """The gradient of the eikonal term against differences of float64: the second derivative is there."""
    decoder = synthetic_avatar(head_model, tiny_clips, decoder=PEGASUS).decoder
    points, z = decoder.positions.detach()[None, :60].clone(), torch.randn(1, 72)
    weight = decoder.color.hidden[0].weight

    def eikonal(normals: torch.Tensor) -> torch.Tensor:
        return (normals.norm(dim=-1) - 1).square().mean()

    (gradient,) = torch.autograd.grad(eikonal(decoder.geometry(points, z)[0][..., :3]), weight)

    def slowly() -> float:
        place = points.double().requires_grad_(True)
        (normals,) = torch.autograd.grad(distance_of(decoder, place, z).sum(), place)
        return float(eikonal(0.15 * normals))

    chosen, ends = int(gradient.abs().argmax()), []
    with torch.no_grad():
        start = float(weight.view(-1)[chosen])
    for sign in (1, -1):
        with torch.no_grad():
            weight.view(-1)[chosen] = start + sign * 2.0**-12
        ends.append(slowly())
    # A difference quotient over softplus of sharpness 100, which bends.
    assert (ends[0] - ends[1]) / 2.0**-11 == pytest.approx(float(gradient.view(-1)[chosen]), rel=0.02)


def test_pegasus_draws_opaque_discs_of_one_radius_lit_by_their_normals(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=PEGASUS)
    canonical = avatar.canonicalise(avatar.subject_codes(torch.tensor([0, 2])))
    drawn = avatar.pose(canonical, tiny_clips[0][0].parameters.frame(torch.tensor([1, 2])), torch.tensor([0, 1]))
    assert float(drawn.scales.std()) < 1e-7 and float(drawn.opacities.detach().min()) > 0.98  # float32 of one radius
    for frame in range(2):
        for point in (0, 50, 300):
            n = torch.nn.functional.normalize(canonical.pose_condition[frame, point, :3], dim=0)
            turn = quaternion_to_matrix(torch.nn.functional.normalize(drawn.quats[frame, point], dim=0))
            light = 2 * torch.sigmoid(avatar.decoder.response((turn @ n)[None])[0])
            albedo = torch.sigmoid(canonical.attributes[frame, point, COLOR])
            torch.testing.assert_close(drawn.colors[frame, point], albedo * light, **CHAIN)


def test_the_nearest_place_on_a_mesh_equals_a_search_over_all_triangles(head_model) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(3)
    corners = torch.randn(30, 3, 3, generator=generator, dtype=torch.double)
    points = torch.randn(25, 3, generator=generator, dtype=torch.double)
    for point in points:
        for triangle in corners:
            found = nearest_weights(point, triangle) @ triangle
            grid = np.array([(i / 60, j / 60) for i in range(61) for j in range(61 - i)])
            places = np.column_stack([1 - grid.sum(1), grid]) @ triangle.numpy()
            best = np.linalg.norm(places - point.numpy(), axis=1).min()
            assert float((found - point).norm()) <= best + DOUBLE


def test_an_embedded_point_is_where_it_was(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    vertices, faces = head_model.template, head_model.faces
    normals = vertex_normals(vertices, faces)
    points = vertices[::40] + 0.004 * normals[::40]
    bound = embed(points, vertices, faces)
    for i in range(len(points)):
        corner = faces[bound.triangles[i]]
        normal = torch.nn.functional.normalize((normals[corner] * bound.weights[i][:, None]).sum(0), dim=0)
        place = (vertices[corner] * bound.weights[i][:, None]).sum(0) + bound.heights[i] * normal
        # Metres: float32 rounding of a head's size.
        torch.testing.assert_close(place + bound.rest_offsets[i], points[i], atol=1e-6, rtol=0)
    # Metres: normals differ between corners, along which a point 4 mm above is found.
    assert float(bound.rest_offsets.norm(dim=-1).median()) < 1e-3
    assert float(bound.heights.median()) == pytest.approx(0.004, abs=5e-4)  # metres: the same difference of normals


def test_splatting_equals_its_formula_point_by_point(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=SPLATTING)
    decoder, motion = avatar.decoder, avatar.skeleton(tiny_clips[0][0].parameters.frame(torch.tensor([5])))
    canonical = avatar.canonicalise(avatar.subject_codes(torch.tensor([2])))
    drawn = avatar.pose(canonical, motion, torch.zeros(1, dtype=torch.long))
    vertices = decoder.posed_mesh(motion)[0]
    normals = vertex_normals(vertices, decoder.faces)
    chosen, slow = (3, 200, 1000), []
    for i in chosen:
        corner = decoder.faces[decoder.triangles[i]]
        b = torch.softmax(decoder.barycentrics[i], 0)
        n = torch.nn.functional.normalize((normals[corner] * b[:, None]).sum(0), dim=0)
        turn = _frame(vertices[corner]) @ _frame(decoder.vertices[corner]).T
        place = (vertices[corner] * b[:, None]).sum(0) + canonical.pose_condition[0, i, 0] * n
        slow.append(place + turn @ decoder.rest_offsets[i])
        rest = quaternion_to_matrix(torch.nn.functional.normalize(canonical.quats[0, i], dim=0))
        posed = quaternion_to_matrix(torch.nn.functional.normalize(drawn.quats[0, i], dim=0))
        torch.testing.assert_close(posed, turn @ rest, **CHAIN)
    torch.testing.assert_close(drawn.means[0, list(chosen)], torch.stack(slow), **CHAIN)
    parameters = [decoder.barycentrics, decoder.base]
    fast_gradients = torch.autograd.grad(drawn.means[0, list(chosen)].square().sum(), parameters, retain_graph=True)
    slow_gradients = torch.autograd.grad(torch.stack(slow).square().sum(), parameters)
    for one, other in zip(fast_gradients, slow_gradients, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, **CHAIN_GRADIENT)


def _frame(corners: torch.Tensor) -> torch.Tensor:
    x = torch.nn.functional.normalize(corners[1] - corners[0], dim=0)
    z = torch.nn.functional.normalize(torch.linalg.cross(x, corners[2] - corners[0]), dim=0)
    return torch.stack([x, torch.linalg.cross(z, x), z], 1)


def test_a_hash_grid_equals_a_loop_over_corners() -> None:
    grid = HashGrid(levels=3, width=2, rows=300, coarsest=4, finest=40)
    places = torch.rand(20, 3)
    fast = grid(places)
    slow = []
    for place in places:
        row = []
        for table, resolution in zip(grid.tables, grid.resolutions, strict=True):
            scaled = place * resolution
            low = scaled.floor()
            total = torch.zeros(2)
            for corner in range(8):
                step = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
                x, y, z = (int(v) for v in low + step)
                weight = torch.where(step.bool(), scaled - low, 1 - (scaled - low)).prod()
                dense = (resolution + 1) ** 3 <= 300
                index = (x * (resolution + 1) + y) * (resolution + 1) + z if dense else _hashed(x, y, z) % 300
                total = total + weight * table[index]
            row.append(total)
        slow.append(torch.cat(row))
    torch.testing.assert_close(fast, torch.stack(slow), **CHAIN)
    fast_gradients = torch.autograd.grad(fast.square().sum(), list(grid.tables))
    slow_gradients = torch.autograd.grad(torch.stack(slow).square().sum(), list(grid.tables))
    for one, other in zip(fast_gradients, slow_gradients, strict=True):
        torch.testing.assert_close(one, other, **CHAIN_GRADIENT)


def _hashed(x: int, y: int, z: int) -> int:
    return (x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])


def test_the_quadrature_equals_a_loop_along_each_ray() -> None:
    densities = (50 * torch.rand(4, 6, dtype=torch.double)).requires_grad_(True)
    colors = torch.rand(4, 6, 3, dtype=torch.double, requires_grad=True)
    lengths = 0.01 * torch.rand(4, dtype=torch.double) + 0.01
    fast, alphas, _ = composite(densities, colors, lengths)
    rows = []
    for ray in range(4):
        light, color = torch.ones((), dtype=torch.double), torch.zeros(3, dtype=torch.double)
        for k in range(6):
            alpha = 1 - torch.exp(-densities[ray, k] * lengths[ray])
            color, light = color + light * alpha * colors[ray, k], light * (1 - alpha)
        rows.append(color + light)
        assert float(alphas[ray]) == pytest.approx(1 - float(light), abs=DOUBLE)
    torch.testing.assert_close(fast, torch.stack(rows))
    for one, other in zip(
        torch.autograd.grad(fast.square().sum(), [densities, colors]),
        torch.autograd.grad(torch.stack(rows).square().sum(), [densities, colors]),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_the_way_back_from_a_frame_ends_at_rest(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """A ray through a posed surface point, sampled at its depth, comes from that point's place at rest."""
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=INSTA)
    clip = tiny_clips[0][0]
    surface = _Surface(avatar.decoder, avatar.skeleton(clip.parameters.frame(torch.tensor([4]))))
    in_camera = clip.camera.to_camera(surface.points)
    depths = in_camera[:, 2]
    rays = Rays(torch.arange(len(depths)), in_camera / depths[:, None], depths, depths)
    rest, near = surface.back(rays, depths[:, None], clip.camera, 0.01)
    assert bool(near.all())
    off = (rest - avatar.decoder.surface[:, MEAN]).norm(dim=-1)
    assert float(off.median()) < 1e-5  # where two points fall together, the other one may be the nearest


def test_samples_lie_where_surface_points_are(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=INSTA)
    clip = tiny_clips[0][0]
    surface = _Surface(avatar.decoder, avatar.skeleton(clip.parameters.frame(torch.tensor([4]))))
    rays = surface.rays(clip.camera, 0.012)
    covered = torch.zeros(64 * 64, dtype=torch.bool)
    covered[rays.pixels] = True
    person = torch.from_numpy(clip.alphas[4] > 127).flatten()
    assert float(covered[person].float().mean()) > 0.98
    assert not bool(covered.all())
    depths, lengths = middles(rays, 8)
    assert bool((depths > rays.near[:, None]).all()) and bool((depths < rays.far[:, None]).all())
    assert bool((lengths > 0).all())


def test_a_window_shows_what_the_whole_picture_shows_there(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=INSTA)
    clip = tiny_clips[0][0]
    canonical = avatar.canonicalise(avatar.subject_codes(torch.tensor([0])))
    motion = avatar.skeleton(clip.parameters.frame(torch.tensor([4])))
    window = avatar.decoder.window(clip.camera, np.random.default_rng(5))
    of_frame = torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        whole = avatar.draw(canonical, motion, of_frame, clip.camera, CpuRasterizer())
        part = avatar.draw(canonical, motion, of_frame, window.through(clip.camera), CpuRasterizer())
    assert part.colors.shape == (1, window.height, window.width, 3)
    # Near the window's border a ray may start or end elsewhere: it does not know of points beyond it.
    difference = (window.of(whole.colors) - part.colors).abs().amax(-1)
    assert float(difference.median()) < 1e-4


def test_a_picture_of_nobody_has_a_gradient_of_zeros(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """A step's window may fall beside the person: the step must not fail."""
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=INSTA)
    clip = tiny_clips[0][0]
    canonical = avatar.canonicalise(avatar.subject_codes(torch.tensor([0])))
    motion = avatar.skeleton(clip.parameters.frame(torch.tensor([4])))
    beside = clip.camera.cropped(5000, 5000, 16, 16)
    drawn = avatar.draw(canonical, motion, torch.zeros(1, dtype=torch.long), beside, CpuRasterizer())
    assert torch.equal(drawn.colors, torch.ones(1, 16, 16, 3))
    drawn.colors.sum().backward()
    assert not avatar.decoder.field.out.bias.grad.any()
