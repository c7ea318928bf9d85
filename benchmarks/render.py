"""How fast Gaussians are drawn on this machine.

    python -m benchmarks.render [--threads 2] [--prototype FILE] [--quick] [--json FILE]

The four scenes are those of docs/reference.md#rasterizing-on-a-cpu: splats on an ellipsoidal head shell that covers
half of the picture. Projection, sorting and binning are included. Beside ours: a list of (Gaussian, pixel) pairs in
plain torch with autograd, up to 256²; the torch reference, which compares every Gaussian with every pixel, where that
fits into memory; the numba prototype where its file is given (it gets projected splats: its time is without
projection); gsplat where CUDA is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.command import parser, report
from benchmarks.pairs import PairRasterizer
from benchmarks.prototype import Prototype
from benchmarks.timing import Row, interleaved, on_threads, ratio
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render import CpuRasterizer, GsplatRasterizer, Rasterizer, ReferenceRasterizer, rasterize
from perse.render.threads import limited_threads
from perse.training.memory import keep_freed_memory

SCENES = ((5_000, 256), (20_000, 256), (50_000, 512), (130_000, 512))
_HALF_AXES_M = np.array([0.085, 0.12, 0.10])
_REFERENCE_LIMIT = 30_000_000
"""Gaussians × pixels up to which the reference is run."""


Draw = Callable[[Gaussians, Camera, Rasterizer], Callable[[], None]]


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


def own(count: int, size_px: int, threads: int, frames: int = 1, channels: int = 3) -> dict[str, Callable[[], None]]:
    """Our forward and backward, on one thread and on several."""
    gaussians, camera = head_shell(count, size_px, frames=frames, channels=channels)
    return {
        on_threads(number): forward_backward(gaussians, camera, CpuRasterizer(number)) for number in {1: 0, threads: 0}
    }


def side_by_side(
    draw: Draw, count: int, size_px: int, threads: int, prototype: Prototype | None
) -> dict[str, Callable[[], None]]:
    """A scene drawn by everybody who can."""
    gaussians, camera = head_shell(count, size_px)
    numbers = list({1: 0, threads: 0})
    runs = {on_threads(number): draw(gaussians, camera, CpuRasterizer(number)) for number in numbers}
    if prototype is not None:
        both = draw is forward_backward
        for number in numbers:
            name = f"prototype, {on_threads(number)}"
            runs[name] = prototype.run(gaussians[0], camera, threads=number, backward=both)
    if size_px <= 256:
        runs["plain torch, pairs"] = draw(gaussians, camera, PairRasterizer())
    if count * size_px**2 <= _REFERENCE_LIMIT:
        runs["torch reference"] = draw(gaussians, camera, ReferenceRasterizer())
    if torch.cuda.is_available():
        runs["gsplat"] = draw(gaussians.to("cuda"), camera.to("cuda"), GsplatRasterizer())
    return runs


def with_ratios(table: str, case: str, milliseconds: dict[str, float | None], threads: int) -> Row:
    """Scaling, and how the others compare on as many threads."""
    most = on_threads(threads)
    others = {
        "scaling": ratio(milliseconds, on_threads(1), most) if threads > 1 else None,
        "of the prototype's time, 1 thread": ratio(milliseconds, on_threads(1), f"prototype, {on_threads(1)}"),
        f"of the prototype's time, {most}": ratio(milliseconds, most, f"prototype, {most}"),
        "faster than plain torch": ratio(milliseconds, "plain torch, pairs", most),
    }
    return Row(table, case, milliseconds, {name: value for name, value in others.items() if value is not None})


def measure(threads: int, prototype: Prototype | None, *, quick: bool) -> list[Row]:
    """All tables."""
    seconds = 0.2 if quick else 0.6
    counts = (1_000, 5_000, 20_000) if quick else (1_000, 5_000, 20_000, 50_000, 130_000, 200_000)
    sizes = (128, 256) if quick else (128, 256, 512, 1024)
    rows = []
    for table, draw in (("Forward", forward), ("Forward and backward", forward_backward)):
        for count, size_px in ((500, 96), *(SCENES[:2] if quick else SCENES)):
            times = interleaved(side_by_side(draw, count, size_px, threads, prototype), seconds=seconds)
            rows.append(with_ratios(table, f"{count:,} at {size_px}²", times, threads))
    growth = [("Gaussians", f"{n:,} at 512²", (n, 512)) for n in counts]
    growth += [("pixels", f"20,000 at {s}²", (20_000, s)) for s in sizes]
    growth += [("frames", f"{f} × 15,000 at 256²", (15_000, 256, f)) for f in ((1, 4) if quick else (1, 2, 4, 8, 16))]
    growth += [("channels", f"20,000 at 256², {c}", (20_000, 256, 1, c)) for c in ((3,) if quick else (1, 3, 8, 32))]
    for what, case, (count, size_px, *rest) in growth:
        times = interleaved(own(count, size_px, threads, *rest), seconds=seconds / 2)
        rows.append(with_ratios(f"Growth with {what}, forward and backward", case, times, threads))
    for count in counts:
        runs = {on_threads(number): projection(count, 512, number) for number in {1: 0, threads: 0}}
        times = interleaved(runs, seconds=seconds / 4, rounds=50)
        rows.append(with_ratios("Projection alone, forward and backward", f"{count:,}", times, threads))
    return rows


def main() -> None:
    options = parser(__doc__, quick="few and small scenes", threads="threads of the CPU rasterizer, beside one")
    options.add_argument("--prototype", type=Path, help="file of another numba rasterizer; see benchmarks/prototype.py")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as every training does; all contenders gain
    prototype = Prototype.load(arguments.prototype) if arguments.prototype else None
    rows = measure(arguments.threads, prototype, quick=arguments.quick)
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
