"""How fast Gaussians are drawn on this machine.

    python -m benchmarks.render [--threads 2] [--quick] [--json FILE]

The four scenes are REFERENCE §3's: splats on an ellipsoidal head shell that covers half of the picture. The torch
reference compares every Gaussian with every pixel and joins where that fits into memory; gsplat joins where CUDA is.
Projection, sorting and binning are included.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.pairs import PairRasterizer
from benchmarks.timing import Row, interleaved, print_tables, write_json
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render import CpuRasterizer, GsplatRasterizer, Rasterizer, ReferenceRasterizer, rasterize
from perse.render.threads import limited_threads

SCENES = ((5_000, 256), (20_000, 256), (50_000, 512), (130_000, 512))
_HALF_AXES_M = np.array([0.085, 0.12, 0.10])
_REFERENCE_LIMIT = 30_000_000
"""Gaussians × pixels up to which the reference is run."""


def head_shell(count: int, size_px: int, *, frames: int = 1, channels: int = 3) -> tuple[Gaussians, Camera]:
    """Gaussians on an ellipsoid that covers half of a square picture, seen from slightly different sides."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    spacing = math.sqrt(4 * math.pi * 0.1**2 / count)

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).expand(frames, *values.shape).clone()

    gaussians = Gaussians(
        means=tensor(directions * _HALF_AXES_M),
        quats=tensor(rng.normal(size=(count, 4))),
        scales=tensor(0.6 * spacing * np.exp(0.35 * rng.normal(size=(count, 3)))),
        opacities=tensor(rng.uniform(0.3, 0.99, count)),
        colors=tensor(rng.uniform(size=(count, channels))),
    )
    views = np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (frames, 1, 1))
    for frame in range(frames):
        yaw = 0.3 * (frame / max(frames - 1, 1) - 0.5)
        turn = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
        views[frame, :3, :3] = views[frame, :3, :3] @ turn
        views[frame, 2, 3] = 1.0
    focal = math.sqrt(0.5 * size_px**2 / (math.pi * _HALF_AXES_M[0] * _HALF_AXES_M[1]))
    intrinsics = np.array([[focal, 0, size_px / 2], [0, focal, size_px / 2], [0, 0, 1]])
    return gaussians, Camera(torch.from_numpy(views.astype(np.float32)), tensor(intrinsics), size_px, size_px)


def forward(gaussians: Gaussians, camera: Camera, rasterizer: Rasterizer) -> Callable[[], None]:
    """Draw once."""

    def run() -> None:
        with torch.no_grad():
            rasterize(gaussians, camera, rasterizer=rasterizer)
        _finish(rasterizer)

    return run


def forward_backward(gaussians: Gaussians, camera: Camera, rasterizer: Rasterizer) -> Callable[[], None]:
    """Draw, and take gradients of colours and alphas by everything."""
    names = ("means", "quats", "scales", "opacities", "colors")
    leaves = [getattr(gaussians, name).clone().requires_grad_() for name in names]
    frames = gaussians.means.shape[0]
    generator = torch.Generator().manual_seed(0)
    size = (frames, camera.height, camera.width)
    cotangents = [
        torch.randn(*size, gaussians.colors.shape[-1], generator=generator),
        torch.randn(size, generator=generator),
    ]
    cotangents = [cotangent.to(gaussians.means) for cotangent in cotangents]

    def run() -> None:
        drawn = rasterize(Gaussians(*leaves), camera, rasterizer=rasterizer)
        torch.autograd.grad([drawn.colors, drawn.alphas], leaves, cotangents)
        _finish(rasterizer)

    return run


def projection(count: int, size_px: int, threads: int) -> Callable[[], None]:
    """The fused projection alone, forward and backward, without autograd around it."""
    from perse.render import projection_kernels as kernels

    gaussians, camera = head_shell(count, size_px)
    geometry = [getattr(gaussians, name).numpy() for name in ("means", "quats", "scales", "opacities")]
    padded = -(-count // kernels.WIDTH) * kernels.WIDTH
    splats, depths = np.empty(padded * kernels.SPLAT_SIZE, np.float32), np.empty((1, padded), np.float32)
    columns, rows = np.empty((1, padded), np.int32), np.empty((1, padded), np.int32)
    sums, g_depths = np.ones(padded * kernels.SUMS, np.float32), np.ones((1, padded), np.float32)
    gradients = [np.empty_like(values) for values in geometry]
    view = (camera.world_to_camera.numpy(), camera.intrinsics.numpy(), size_px, size_px, threads)

    def run() -> None:
        with limited_threads(threads):
            kernels.project_splats(*geometry, gaussians.colors.numpy(), *view, splats, depths, columns, rows)
            kernels.unproject(*geometry, *view, splats, depths, sums, g_depths, *gradients)

    return run


def _finish(rasterizer: Rasterizer) -> None:
    if isinstance(rasterizer, GsplatRasterizer):
        torch.cuda.synchronize()


def _contenders(count: int, size_px: int, threads: int, frames: int = 1) -> dict[str, Callable[[], object]]:
    gaussians, camera = head_shell(count, size_px, frames=frames)
    runs: dict[str, Callable[[], object]] = {}
    for number in sorted({1, threads}):
        name, rasterizer = f"cpu, {number} thread{'s' * (number > 1)}", CpuRasterizer(number)
        runs[f"{name}: forward"] = forward(gaussians, camera, rasterizer)
        runs[f"{name}: + backward"] = forward_backward(gaussians, camera, rasterizer)
    if count * size_px**2 * frames <= _REFERENCE_LIMIT:
        runs["torch reference: forward"] = forward(gaussians, camera, ReferenceRasterizer())
        runs["torch reference: + backward"] = forward_backward(gaussians, camera, ReferenceRasterizer())
    if size_px <= 256 and frames == 1:
        runs["plain torch, pairs: forward"] = forward(gaussians, camera, PairRasterizer())
        runs["plain torch, pairs: + backward"] = forward_backward(gaussians, camera, PairRasterizer())
    if torch.cuda.is_available():
        on_gpu, gpu_camera = gaussians.to("cuda"), camera.to("cuda")
        runs["gsplat: forward"] = forward(on_gpu, gpu_camera, GsplatRasterizer())
        runs["gsplat: + backward"] = forward_backward(on_gpu, gpu_camera, GsplatRasterizer())
    return runs


def measure(threads: int, *, quick: bool) -> list[Row]:
    """All tables."""
    rounds = 3 if quick else 9
    scenes = SCENES[:2] if quick else SCENES
    counts = (1_000, 5_000, 20_000) if quick else (1_000, 5_000, 20_000, 50_000, 130_000, 200_000)
    sizes = (128, 256) if quick else (128, 256, 512, 1024)
    batches = (1, 4) if quick else (1, 2, 4, 8, 16)
    cases = (
        [("Head shells", f"{n:,} at {s}²", (n, s, 1)) for n, s in ((500, 96), *scenes)]
        + [("Growth with Gaussians", f"{n:,} at 512²", (n, 512, 1)) for n in counts]
        + [("Growth with pixels", f"20,000 at {s}²", (20_000, s, 1)) for s in sizes]
        + [("Growth with frames", f"{f} × 15,000 at 256²", (15_000, 256, f)) for f in batches]
    )
    rows = []
    for table, case, (count, size_px, frames) in cases:
        rows.append(Row(table, case, interleaved(_contenders(count, size_px, threads, frames), rounds=rounds)))
    for count in counts:
        runs = {f"{n} thread{'s' * (n > 1)}": projection(count, 512, n) for n in sorted({1, threads})}
        rows.append(Row("Projection, forward and backward", f"{count:,}", interleaved(runs, rounds=rounds)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2, help="threads of the CPU rasterizer, beside one")
    parser.add_argument("--quick", action="store_true", help="few and small scenes")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    rows = measure(arguments.threads, quick=arguments.quick)
    print_tables(rows)
    if arguments.json is not None:
        write_json(rows, arguments.json)


if __name__ == "__main__":
    main()
