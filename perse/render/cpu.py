"""The CPU backend: numba kernels behind a `torch.autograd.Function`.

::

    project ─► sort by depth ─► tile lists ─► blend tiles                      forward
    gradients ◄─ unproject ◄─ gather slots ◄─ unblend tiles                    backward

Blending takes four values at a time, RGB and depth for a picture; more channels are drawn in more passes over the same
tile lists. Gradients are linear in the cotangents, so the passes' gradients add up.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render.rasterization import Rendering
from perse.render.threads import limited_threads, thread_count


@dataclass(frozen=True)
class CpuRasterizer:
    """Draws on the CPU in float32, forward and backward; the same bits whatever the number of threads.

    Memory: 112 bytes a Gaussian, and 12 forward and 48 backward for each pair of a Gaussian and a 16 × 16 tile that its
    box touches; a few enormous Gaussians are nothing, many of them are.

    Attributes:
        threads: threads to use; None takes as many as torch uses in this process.
    """

    threads: int | None = None

    def draw(self, gaussians: Gaussians, cameras: Camera, background: Tensor | None) -> Rendering:
        """See `perse.render.Rasterizer`. Other dtypes than float32 are converted and the result converted back.

        Raises:
            ValueError: tensors that are not on the CPU, or cameras that require gradients.
        """
        if gaussians.means.device.type != "cpu":
            raise ValueError(f"CpuRasterizer draws tensors on the CPU, got {gaussians.means.device}; use .to('cpu')")
        if cameras.world_to_camera.requires_grad or cameras.intrinsics.requires_grad:
            raise ValueError("cameras get gradients from ReferenceRasterizer only; detach them")
        dtype = gaussians.means.dtype
        colors, alphas, depths = _Splatting.apply(
            *(
                values.to(torch.float32).contiguous()
                for values in (
                    gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors
                )
            ),
            _array(cameras.world_to_camera),
            _array(cameras.intrinsics),
            np.zeros(gaussians.colors.shape[-1], np.float32) if background is None else _array(background),
            (cameras.width, cameras.height),
            thread_count(self.threads),
        )  # fmt: skip
        return Rendering(colors.to(dtype), alphas.to(dtype), depths.to(dtype))


def _array(values: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(values.detach().to(torch.float32).numpy())


_memory = threading.local()


def _scratch(size: int) -> NDArray[np.float32]:
    """Zeroed float32 that this thread may use until its next call. Zeroed, as the last call may have left a NaN."""
    if getattr(_memory, "block", None) is None or len(_memory.block) < size:
        _memory.block = np.empty(size, np.float32)
    block = _memory.block[:size]
    block.fill(0)
    return block


@dataclass(frozen=True)
class _TileLists:
    """Which splats are in which tile, front to back; see `perse.render.binning_kernels`."""

    order: NDArray[np.int32]
    starts: NDArray[np.int32]
    members: NDArray[np.int32]
    places: NDArray[np.int32]
    place_starts: NDArray[np.int32]


def _list_tiles(
    depths: NDArray[np.float32],
    columns: NDArray[np.int32],
    rows: NDArray[np.int32],
    pairs: NDArray[np.int64],
    tiles_across: int,
    tiles_down: int,
) -> _TileLists:
    from perse.render.binning_kernels import bin_frame, bin_frames

    frames, padded = depths.shape
    tiles = tiles_across * tiles_down
    ends = np.cumsum(pairs.sum(1))
    total = int(ends[-1]) if frames else 0
    bases = ends - pairs.sum(1)
    order = np.empty((frames, padded), np.int32)
    starts = np.full(frames * tiles + 1, total, np.int32)
    place_starts = np.full(frames * padded + 1, total, np.int32)
    members, places = np.empty(total, np.int32), np.empty(total, np.int32)
    arguments = (
        depths, columns, rows, tiles_across, bases, order, starts[:-1].reshape(frames, tiles), members, places,
        place_starts[:-1].reshape(frames, padded),
    )  # fmt: skip
    # One frame has no use for more threads, and waking them takes longer than many a small frame.
    if frames == 1:
        bin_frame(0, *arguments)
    else:
        bin_frames(*arguments)
    return _TileLists(order, starts, members, places, place_starts)


@dataclass(frozen=True)
class _Drawn:
    """What the backward pass needs of the forward pass, beside the tensors."""

    views: NDArray[np.float32]
    intrinsics: NDArray[np.float32]
    size: tuple[int, int]
    threads: int
    chunks: int
    splats: NDArray[np.float32]
    depths: NDArray[np.float32]
    lists: _TileLists
    passes: list[tuple[NDArray[np.int32], NDArray[np.int32]]]


class _Splatting(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        colors: Tensor,
        views: NDArray[np.float32],
        intrinsics: NDArray[np.float32],
        background: NDArray[np.float32],
        size: tuple[int, int],
        threads: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        from perse.render import projection_kernels as projection
        from perse.render import tile_kernels as tiles

        frames, count, channels = colors.shape
        width, height = size
        chunks = max(1, -(-threads // max(frames, 1)))
        padded = -(-count // projection.WIDTH) * projection.WIDTH
        across, down = -(-width // projection.TILE), -(-height // projection.TILE)
        geometry = [values.detach().numpy() for values in (means, quats, scales, opacities)]
        images = [torch.empty(frames, height, width, channels)] + [torch.empty(frames, height, width) for _ in range(2)]
        # Zeros: a pass that is not full blends its unused values too, and garbage times nothing may be NaN.
        splats = np.zeros(frames * padded * projection.SPLAT_SIZE, np.float32)
        depths = np.empty((frames, padded), np.float32)
        columns, rows = np.empty((frames, padded), np.int32), np.empty((frames, padded), np.int32)
        pairs = np.empty((frames, chunks), np.int64)
        values = colors.detach().numpy()
        passes = []
        with limited_threads(threads):
            projection.project_splats(
                *geometry, values, views, intrinsics, width, height, chunks, splats, depths, columns, rows, pairs
            )
            lists = _list_tiles(depths, columns, rows, pairs, across, down)
            for group in range(channels // projection.GROUP + 1):
                if group:
                    projection.load_planes(values, depths, group, chunks, splats)
                masks, ends = np.empty(len(lists.members), np.int32), np.empty(len(lists.starts) - 1, np.int32)
                tiles.blend(
                    splats, lists.members, lists.starts, group, background, threads, masks, ends,
                    *(image.numpy() for image in images),
                )  # fmt: skip
                passes.append((masks, ends))
        ctx.save_for_backward(means, quats, scales, opacities, colors, *images)
        ctx.drawn = _Drawn(views, intrinsics, size, threads, chunks, splats, depths, lists, passes)
        return images[0], images[1], images[2]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        from perse.render import projection_kernels as projection
        from perse.render import tile_kernels as tiles

        drawn: _Drawn = ctx.drawn
        lists = drawn.lists
        means, quats, scales, opacities, colors, *images = ctx.saved_tensors
        geometry = [values.detach().numpy() for values in (means, quats, scales, opacities)]
        pictures = [image.detach().numpy() for image in images]
        g_pictures = [cotangent.contiguous().numpy() for cotangent in cotangents]
        gradients = [torch.empty_like(values) for values in (means, quats, scales, opacities, colors)]
        *g_geometry, g_colors = (gradient.numpy() for gradient in gradients)
        g_depths = np.empty(drawn.depths.shape, np.float32)
        moments = np.zeros(drawn.depths.size * projection.MOMENTS, np.float32)
        slots = _scratch(len(lists.members) * tiles.SLOT)
        with limited_threads(drawn.threads):
            for group, (masks, ends) in enumerate(drawn.passes):
                if len(drawn.passes) > 1:
                    projection.load_planes(colors.detach().numpy(), drawn.depths, group, drawn.chunks, drawn.splats)
                tiles.unblend(
                    drawn.splats, lists.members, lists.starts, group, drawn.threads, masks, ends,
                    *pictures, *g_pictures, slots,
                )  # fmt: skip
                tiles.gather_slots(
                    slots, lists.order, lists.places, lists.place_starts, group, drawn.chunks,
                    moments, g_colors, g_depths,
                )  # fmt: skip
            projection.unproject(
                *geometry, drawn.views, drawn.intrinsics, *drawn.size, drawn.chunks, drawn.splats, drawn.depths,
                moments, g_depths, *g_geometry,
            )  # fmt: skip
        return (*gradients, None, None, None, None, None)
