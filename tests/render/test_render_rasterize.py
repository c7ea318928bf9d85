"""What every rasterizer must do: properties of pictures, and defined behaviour at the edges."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from render_scenes import FIELDS, cameras_around, random_gaussians
from tolerances import SINGLE, SINGLE_SUM

from perse.gaussians import Gaussians
from perse.geometry import Camera, quaternion_multiply, quaternion_to_matrix
from perse.render import CpuRasterizer, GsplatRasterizer, Rasterizer, ReferenceRasterizer, cpu, rasterize
from perse.render.cpu import MIN_CHUNK

RASTERIZERS = [
    pytest.param(ReferenceRasterizer(), id="reference"),
    pytest.param(CpuRasterizer(threads=2), id="cpu"),
    pytest.param(GsplatRasterizer(), id="gsplat", marks=pytest.mark.cuda),
]
every_rasterizer = pytest.mark.parametrize("rasterizer", RASTERIZERS)


@pytest.fixture(autouse=True)
def _skip_without_cuda(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


def _on_device(rasterizer: Rasterizer, gaussians: Gaussians, camera: Camera) -> tuple[Gaussians, Camera]:
    device = "cuda" if isinstance(rasterizer, GsplatRasterizer) else "cpu"
    return gaussians.to(device), camera.to(device)


def _draw(rasterizer: Rasterizer, gaussians: Gaussians, camera: Camera):  # type: ignore[no-untyped-def]
    gaussians, camera = _on_device(rasterizer, gaussians, camera)
    return rasterize(gaussians, camera, rasterizer=rasterizer)


def _one(**changes: object) -> Gaussians:
    """One opaque red Gaussian at the origin, a centimetre wide."""
    values = {
        "means": torch.zeros(1, 3),
        "quats": torch.tensor([[1.0, 0, 0, 0]]),
        "scales": torch.full((1, 3), 0.01),
        "opacities": torch.ones(1),
        "colors": torch.tensor([[1.0, 0, 0]]),
    }
    return Gaussians(**{**values, **changes})  # type: ignore[arg-type]


def _camera(width: int = 32, height: int = 32) -> Camera:
    view = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    view[2, 3] = 1.0
    focal = 100.0
    intrinsics = torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
    return Camera(view, intrinsics, width, height)


@every_rasterizer
def test_one_gaussian_is_the_textbook_bell(rasterizer: Rasterizer) -> None:
    drawn = _draw(rasterizer, _one(opacities=torch.tensor([0.8])), _camera())
    # At one metre and 100 px of focal length a centimetre is a pixel; 0.3 px² of dilation are added.
    offsets = torch.arange(32) + 0.5 - 16
    expected = 0.8 * torch.exp(-0.5 * (offsets[:, None] ** 2 + offsets**2) / 1.3)
    expected[expected < 1 / 255] = 0
    torch.testing.assert_close(drawn.alphas.cpu(), expected, atol=SINGLE_SUM, rtol=0)
    torch.testing.assert_close(drawn.colors[..., 0].cpu(), expected, atol=SINGLE_SUM, rtol=0)
    torch.testing.assert_close(drawn.depths.cpu(), expected, atol=SINGLE_SUM, rtol=0)  # z = 1 m
    assert float(drawn.colors[..., 1:].abs().max()) == 0


@every_rasterizer
def test_the_nearer_one_hides_the_farther(rasterizer: Rasterizer) -> None:
    big = {"scales": torch.full((2, 3), 0.05), "quats": torch.tensor([[1.0, 0, 0, 0]] * 2)}
    pair = Gaussians(
        means=torch.tensor([[0.0, 0, -0.1], [0.0, 0, 0.1]]),
        opacities=torch.tensor([0.999, 0.999]),
        colors=torch.eye(3)[:2],
        **big,
    )
    centre = _draw(rasterizer, pair, _camera()).colors[16, 16]
    assert float(centre[1]) > 0.98  # the second is nearer to the camera, which looks down from +z
    assert float(centre[0]) < 0.02


@every_rasterizer
def test_order_does_not_matter(rasterizer: Rasterizer) -> None:
    gaussians, camera = random_gaussians(200, seed=1)[0], cameras_around(1, 40, 40)
    camera = Camera(camera.world_to_camera[0], camera.intrinsics[0], 40, 40)
    shuffled = gaussians[torch.randperm(200, generator=torch.Generator().manual_seed(0))]  # type: ignore[index]
    a, b = _draw(rasterizer, gaussians, camera), _draw(rasterizer, shuffled, camera)
    # Sums run over the same Gaussians in the same depth order, whatever their place in the arrays.
    torch.testing.assert_close(a.colors, b.colors, atol=SINGLE, rtol=0)


@every_rasterizer
def test_moving_head_and_camera_together_changes_nothing(rasterizer: Rasterizer) -> None:
    gaussians = random_gaussians(200, seed=4)[0].to("cpu", torch.float64)
    batch = cameras_around(1, 40, 40).to("cpu", torch.float64)
    camera = Camera(batch.world_to_camera[0], batch.intrinsics[0], 40, 40)
    turn = torch.nn.functional.normalize(torch.tensor([0.9, 0.2, -0.3, 0.1], dtype=torch.float64), dim=0)
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3], motion[:3, 3] = quaternion_to_matrix(turn), torch.tensor([0.3, -0.2, 0.5])
    moved = replace(
        gaussians,
        means=gaussians.means @ motion[:3, :3].T + motion[:3, 3],
        quats=quaternion_multiply(turn.expand_as(gaussians.quats), gaussians.quats),
    )
    moved_camera = replace(camera, world_to_camera=camera.world_to_camera @ torch.linalg.inv(motion))
    a, b = _draw(rasterizer, gaussians, camera), _draw(rasterizer, moved, moved_camera)
    difference = (a.colors - b.colors).abs()
    # Rounding in float32 moves splats by 1e-5 px; a pixel at the rim of one may cross the cut at 1/255.
    assert float(difference.mean()) < 2e-5 and float(difference.max()) < 6e-3


@every_rasterizer
def test_a_batch_is_its_frames(rasterizer: Rasterizer) -> None:
    gaussians, cameras = random_gaussians(100, frames=3, seed=6), cameras_around(3, 40, 24)
    together = _draw(rasterizer, gaussians, cameras)
    assert together.colors.shape == (3, 24, 40, 3) and together.alphas.shape == together.depths.shape == (3, 24, 40)
    for frame in range(3):
        camera = Camera(cameras.world_to_camera[frame], cameras.intrinsics[frame], 40, 24)
        alone = _draw(rasterizer, gaussians[frame], camera)
        torch.testing.assert_close(alone.colors, together.colors[frame], atol=SINGLE, rtol=0)
    one_set = _draw(rasterizer, gaussians[1], cameras)
    torch.testing.assert_close(one_set.colors[1], together.colors[1], atol=SINGLE, rtol=0)
    one_camera = _draw(rasterizer, gaussians, camera)
    torch.testing.assert_close(one_camera.colors[2], together.colors[2], atol=SINGLE, rtol=0)


@every_rasterizer
def test_the_background_shows_through(rasterizer: Rasterizer) -> None:
    gaussians, camera = _on_device(rasterizer, *(random_gaussians(60, seed=8), cameras_around(1, 24, 24)))
    background = torch.tensor([0.2, 0.5, 1.0]).to(gaussians.means)
    black = rasterize(gaussians, camera, rasterizer=rasterizer)
    coloured = rasterize(gaussians, camera, background=background, rasterizer=rasterizer)
    expected = black.colors + (1 - black.alphas[..., None]) * background
    torch.testing.assert_close(coloured.colors, expected, atol=SINGLE, rtol=0)
    torch.testing.assert_close(coloured.alphas, black.alphas, atol=0, rtol=0)


INVISIBLE = {
    "none at all": lambda: random_gaussians(0)[0],
    "behind the camera": lambda: _one(means=torch.tensor([[0.0, 0, 2.0]])),
    "inside the near plane": lambda: _one(means=torch.tensor([[0.0, 0, 0.995]])),
    "outside the image": lambda: _one(means=torch.tensor([[5.0, 0, 0]])),
    "zero opacity": lambda: _one(opacities=torch.zeros(1)),
    "NaN position": lambda: _one(means=torch.full((1, 3), math.nan)),
    "NaN scale": lambda: _one(scales=torch.full((1, 3), math.nan)),
    "NaN opacity": lambda: _one(opacities=torch.full((1,), math.nan)),
    "NaN rotation": lambda: _one(quats=torch.full((1, 4), math.nan)),
    "infinite position": lambda: _one(means=torch.full((1, 3), math.inf)),
    "infinite scale": lambda: _one(scales=torch.full((1, 3), math.inf)),
    "zero quaternion": lambda: _one(quats=torch.zeros(1, 4)),
}


@every_rasterizer
@pytest.mark.parametrize("case", INVISIBLE)
def test_the_invisible_leaves_background_and_zero_gradients(rasterizer: Rasterizer, case: str) -> None:
    gaussians, camera = _on_device(rasterizer, INVISIBLE[case](), _camera())
    leaves = Gaussians(*(getattr(gaussians, name).clone().requires_grad_() for name in FIELDS))
    background = torch.tensor([0.1, 0.2, 0.3]).to(gaussians.means)
    drawn = rasterize(leaves, camera, background=background, rasterizer=rasterizer)
    assert float(drawn.alphas.detach().abs().max()) == 0 and float(drawn.depths.detach().abs().max()) == 0
    torch.testing.assert_close(drawn.colors.detach(), background.expand(32, 32, 3))
    if drawn.colors.requires_grad:
        (drawn.colors.sum() + drawn.alphas.sum() + drawn.depths.sum()).backward()
    for name in FIELDS:
        gradient = getattr(leaves, name).grad
        assert gradient is None or (gradient == 0).all(), name


@every_rasterizer
def test_one_bad_gaussian_spoils_no_other(rasterizer: Rasterizer) -> None:
    good = random_gaussians(40, seed=9)[0]
    bad = Gaussians(
        *(torch.cat([getattr(good, name), getattr(_one(means=torch.full((1, 3), math.nan)), name)]) for name in FIELDS)
    )
    gaussians, camera = _on_device(rasterizer, bad, _camera())
    leaves = Gaussians(*(getattr(gaussians, name).clone().requires_grad_() for name in FIELDS))
    drawn = rasterize(leaves, camera, rasterizer=rasterizer)
    torch.testing.assert_close(drawn.colors.detach(), _draw(rasterizer, good, _camera()).colors)
    drawn.colors.sum().backward()
    for name in FIELDS:
        assert getattr(leaves, name).grad.isfinite().all(), name
    assert float(leaves.colors.grad[:-1].sum()) > 0


@every_rasterizer
def test_an_enormous_gaussian_fills_the_picture(rasterizer: Rasterizer) -> None:
    drawn = _draw(rasterizer, _one(scales=torch.full((1, 3), 1e4), opacities=torch.tensor([0.5])), _camera(50, 20))
    # The Gaussian's own falloff over the picture, whose exp2 is good to 5e-6.
    torch.testing.assert_close(drawn.alphas.cpu(), torch.full((20, 50), 0.5), atol=1e-4, rtol=0)


EXTREMES = {"huge": (1e4, 1e4, 1e4), "needle": (0.5, 1e-4, 1e-4), "disc": (3.0, 3.0, 1e-6)}


@pytest.mark.parametrize("scales", EXTREMES.values(), ids=EXTREMES)
def test_extreme_shapes_have_the_references_picture_and_gradients(scales: tuple[float, float, float]) -> None:
    """Behind them ordinary ones, which must still be seen and get their gradients through them."""
    ordinary = random_gaussians(30, seed=12)[0]
    extreme = _one(
        means=torch.tensor([[0.01, 0.02, 0.2]]), scales=torch.tensor([scales]), opacities=torch.tensor([0.6]),
        quats=torch.tensor([[0.9, 0.3, -0.2, 0.1]]),
    )  # fmt: skip
    both = [torch.cat([getattr(ordinary, name), getattr(extreme, name)]) for name in FIELDS]
    drawn, gradients = [], []
    for rasterizer, dtype in ((CpuRasterizer(), torch.float32), (ReferenceRasterizer(), torch.float64)):
        leaves = [values.to(dtype, copy=True).requires_grad_() for values in both]
        picture = rasterize(Gaussians(*leaves), _camera(40, 24), rasterizer=rasterizer)
        drawn.append(picture.colors.detach().double())
        (picture.colors.square().sum() + picture.depths.sum()).backward()
        gradients.append([leaf.grad.double() for leaf in leaves])
    assert float(drawn[1].mean()) > 0.03
    # Flips at 1/255, as in test_render_twins: the mean must not know them.
    assert float((drawn[0] - drawn[1]).abs().mean()) < 1e-4
    for name, ours, expected in zip(FIELDS, *gradients, strict=True):
        # The needle is a hundred times as long as wide: inverting its covariance costs float32 four digits of seven.
        assert float((ours - expected).norm() / expected.norm()) < 2e-2, name


@every_rasterizer
def test_a_scene_that_is_culled_whole_is_background_with_zero_gradients(rasterizer: Rasterizer) -> None:
    gaussians, cameras = random_gaussians(500, frames=2, seed=13), cameras_around(2, 40, 24)
    away = replace(gaussians, means=gaussians.means + torch.tensor([[[0.0, 0.0, 5.0]]]))
    gaussians, cameras = _on_device(rasterizer, away, cameras)
    leaves = Gaussians(*(getattr(gaussians, name).clone().requires_grad_() for name in FIELDS))
    background = torch.tensor([0.1, 0.2, 0.3]).to(gaussians.means)
    drawn = rasterize(leaves, cameras, background=background, rasterizer=rasterizer)
    torch.testing.assert_close(drawn.colors.detach(), background.expand(2, 24, 40, 3))
    if drawn.colors.requires_grad:
        (drawn.colors.sum() + drawn.alphas.sum() + drawn.depths.sum()).backward()
    for name in FIELDS:
        gradient = getattr(leaves, name).grad
        assert gradient is None or (gradient == 0).all(), name


@every_rasterizer
def test_alpha_is_clamped_and_opacity_above_one_is_one(rasterizer: Rasterizer) -> None:
    wide = torch.full((1, 3), 10.0)
    one, more = (_draw(rasterizer, _one(scales=wide, opacities=torch.tensor([o])), _camera()) for o in (1.0, 3.0))
    assert float(one.alphas.max()) == pytest.approx(0.999, abs=1e-6)  # float32 of the clamp
    torch.testing.assert_close(one.alphas, more.alphas)


def _bits(gaussians: Gaussians, cameras: Camera, threads: int) -> list[torch.Tensor]:
    """Pictures, and gradients by everything."""
    leaves = Gaussians(*(getattr(gaussians, name).clone().requires_grad_() for name in FIELDS))
    drawn = rasterize(leaves, cameras, rasterizer=CpuRasterizer(threads))
    (drawn.colors.square().sum() + drawn.alphas.sum() + drawn.depths.square().sum()).backward()
    return [drawn.colors, drawn.alphas, drawn.depths, *(getattr(leaves, name).grad for name in FIELDS)]


# One frame is cut into chunks for two threads, of two each thread takes one; the picture has tiles enough for both.
@pytest.mark.parametrize(("count", "frames"), [(2 * MIN_CHUNK + 5, 1), (3000, 2)])
def test_threads_and_runs_give_the_same_bits(count: int, frames: int) -> None:
    gaussians, cameras = random_gaussians(count, frames=frames, seed=10), cameras_around(frames, 200, 168)
    first = _bits(gaussians, cameras, 1)
    for threads in (1, 2, 2):
        assert all(torch.equal(a, b) for a, b in zip(first, _bits(gaussians, cameras, threads), strict=True))


@pytest.mark.parametrize("channels", [3, 5])
def test_nothing_is_read_before_it_is_written(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    """Buffers start as whatever lies in memory: with NaN there, pictures and gradients are the same."""
    gaussians, cameras = random_gaussians(301, channels=channels, frames=2, seed=11), cameras_around(2, 50, 37)
    expected = _bits(gaussians, cameras, 1)

    class Poisoned:
        def __getattr__(self, name: str) -> object:
            return getattr(np, name)

        @staticmethod
        def empty(shape: object, dtype: type) -> np.ndarray:
            return np.full(shape, math.nan if dtype == np.float32 else 123456789, dtype)  # type: ignore[call-overload]

    def poisoned(*shape: object, **options: object) -> torch.Tensor:
        return torch.full(shape if isinstance(shape[0], int) else shape[0], math.nan, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(cpu, "np", Poisoned())
    monkeypatch.setattr(cpu, "_memory", threading.local())
    monkeypatch.setattr(torch, "empty", poisoned)
    monkeypatch.setattr(torch, "empty_like", lambda values: torch.full(values.shape, math.nan))
    assert all(torch.equal(a, b) for a, b in zip(expected, _bits(gaussians, cameras, 1), strict=True))


def test_drawing_leaves_torch_its_threads() -> None:
    before = torch.get_num_threads()
    rasterize(random_gaussians(20), cameras_around(1, 16, 16), rasterizer=CpuRasterizer(2))
    assert torch.get_num_threads() == before


DRAW_FOR_A_WHILE = """
import os, sys
from pathlib import Path
import torch
from render_scenes import cameras_around, random_gaussians
from perse.render import CpuRasterizer, rasterize
for _ in range(60):
    rasterize(random_gaussians(3000, frames=2), cameras_around(2, 200, 168), rasterizer=CpuRasterizer())
stats = [(path / "stat").read_text().rpartition(")")[2].split() for path in Path("/proc/self/task").iterdir()]
busy = sorted(((int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") for stat in stats), reverse=True)
print(sum(busy[1:]) / busy[0])
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux what the threads did")
def test_a_process_draws_on_the_threads_it_was_given() -> None:
    """Ray tells its workers how many by OMP_NUM_THREADS; with one, all other threads of the process stay idle."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", DRAW_FOR_A_WHILE]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert float(answer) < 0.1  # of the drawing thread's time; a second one would have had a third or more


def test_the_pool_is_one_that_servers_may_enter_from_several_threads() -> None:
    import numba

    rasterize(random_gaussians(20), cameras_around(1, 16, 16), rasterizer=CpuRasterizer(1))
    assert numba.threading_layer() in ("omp", "tbb")


def test_many_threads_may_draw_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    scenes = [random_gaussians(500, seed=seed) for seed in range(4)]
    camera = cameras_around(1, 48, 48)

    def draw(gaussians: Gaussians) -> torch.Tensor:
        return rasterize(gaussians, camera, rasterizer=CpuRasterizer(2)).colors

    alone = [draw(gaussians) for gaussians in scenes]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            together = list(pool.map(draw, scenes))
            assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_wrong_arguments_are_named() -> None:
    gaussians, camera = random_gaussians(5)[0], _camera()
    with pytest.raises(ValueError, match=r"background must have shape \(3,\)"):
        rasterize(gaussians, camera, background=torch.zeros(4), rasterizer=CpuRasterizer())
    with pytest.raises(ValueError, match="background is a constant"):
        rasterize(gaussians, camera, background=torch.zeros(3, requires_grad=True), rasterizer=CpuRasterizer())
    with pytest.raises(ValueError, match="at least one pixel"):
        rasterize(gaussians, replace(camera, width=0), rasterizer=CpuRasterizer())
    with pytest.raises(ValueError, match="ReferenceRasterizer only"):
        turning = replace(camera, world_to_camera=camera.world_to_camera.clone().requires_grad_())
        rasterize(gaussians, turning, rasterizer=CpuRasterizer())
    with pytest.raises(RuntimeError, match="CUDA devices only"):
        rasterize(gaussians, camera, rasterizer=GsplatRasterizer())


def test_kernels_are_warm_after_warming_up() -> None:
    from perse.render import tile_kernels
    from perse.render.warm_up import warm_up

    warm_up(threads=1)
    compiled = len(tile_kernels.unblend.signatures)
    gaussians = random_gaussians(30, frames=2)
    leaves = Gaussians(*(getattr(gaussians, name).requires_grad_() for name in FIELDS))
    rasterize(leaves, cameras_around(2, 24, 24), rasterizer=CpuRasterizer(1)).colors.sum().backward()
    assert len(tile_kernels.unblend.signatures) == compiled == 1
