"""CPU backend: numba kernels behind a `torch.autograd.Function`.

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
from jaxtyping import Float, Float32, Int32
from numpy.typing import NDArray
from torch import Tensor

from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render.rasterization import Rendering
from perse.render.threads import limited_threads, thread_count


@dataclass(frozen=True)
class CpuRasterizer:
    """Rasterizer on the CPU in float32, forward and backward; the same bits whatever the number of threads.

    Memory: 160 bytes a Gaussian, and 12 forward and 64 backward for each pair of a Gaussian and a 16 × 16 tile that its
    box touches; a few enormous Gaussians are nothing, many of them are.

    Attributes:
        threads: threads to use; None takes as many as torch uses in this process.
    """

    threads: int | None = None

    @property
    def device_types(self) -> tuple[str, ...]:
        return ("cpu",)

    def draw(self, gaussians: Gaussians, cameras: Camera, background: Float[Tensor, " c"] | None) -> Rendering:
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


_LINE = 16
"""float32 in a cache line."""

MIN_CHUNK = 4096
"""A frame is not cut into smaller parts than this many Gaussians: waking a thread takes as long."""

MIN_TILES = 64
"""No thread is woken for fewer tiles than this."""


@dataclass(frozen=True)
class _Shares:
    """How the work is shared: what goes by splats and what goes by tiles.

    Attributes:
        chunks: parts that every frame's splats are cut into.
        splat_threads, tile_threads: threads that are worth waking, for a small picture one.
    """

    chunks: int
    splat_threads: int
    tile_threads: int

    @classmethod
    def of(cls, threads: int, frames: int, count: int, tiles: int) -> _Shares:
        chunks = max(1, min(-(-threads // max(frames, 1)), count // MIN_CHUNK))
        return cls(chunks, max(1, min(threads, frames * chunks)), max(1, min(threads, frames * tiles // MIN_TILES)))


def _lines(size: int) -> NDArray[np.float32]:
    """Uninitialised float32, aligned so that a splat or a slot is one cache line and not two.

    numpy's, not torch's, which would be aligned: numpy asks for huge pages where much is wanted.
    """
    block = np.empty(size + _LINE, np.float32)
    skipped = -(block.ctypes.data // block.itemsize) % _LINE
    return block[skipped : skipped + size]


_memory = threading.local()


def _scratch(size: int) -> NDArray[np.float32]:
    """`_lines` that this thread may use until its next call: fresh pages cost as much as filling them."""
    if getattr(_memory, "block", None) is None or len(_memory.block) < size:
        _memory.block = _lines(size)
    block: NDArray[np.float32] = _memory.block[:size]
    return block


@dataclass(frozen=True)
class _TileLists:
    """Which splats are in which tile, front to back; see `perse.render.binning_kernels.list_tiles`."""

    members: Int32[NDArray[np.int32], "pairs 2"]
    starts: Int32[NDArray[np.int32], " _"]
    slot_starts: Int32[NDArray[np.int32], " _"]


@dataclass(frozen=True)
class _Drawn:
    """What the backward pass needs of the forward pass, beside the tensors."""

    views: Float32[NDArray[np.float32], "f 4 4"]
    intrinsics: Float32[NDArray[np.float32], "f 3 3"]
    size: tuple[int, int]
    shares: _Shares
    splats: Float32[NDArray[np.float32], " _"]
    depths: Float32[NDArray[np.float32], "f m"]
    lists: _TileLists
    passes: list[tuple[Int32[NDArray[np.int32], " _"], Int32[NDArray[np.int32], " _"]]]


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
        from perse.render.binning_kernels import list_tiles

        frames, count, channels = colors.shape
        width, height = size
        padded = -(-count // projection.WIDTH) * projection.WIDTH
        across, down = -(-width // projection.TILE), -(-height // projection.TILE)
        shares = _Shares.of(threads, frames, count, across * down)
        geometry = [values.detach().numpy() for values in (means, quats, scales, opacities)]
        images = [torch.empty(frames, height, width, channels)] + [torch.empty(frames, height, width) for _ in range(2)]
        splats = _lines(frames * padded * projection.SPLAT_SIZE)
        depths = np.empty((frames, padded), np.float32)
        columns, rows = np.empty((frames, padded), np.int32), np.empty((frames, padded), np.int32)
        values = colors.detach().numpy()
        passes = []
        with limited_threads(shares.splat_threads):
            projection.project_splats(
                *geometry, values, views, intrinsics, width, height, shares.chunks, splats, depths, columns, rows
            )
            lists = _TileLists(*list_tiles(depths, columns, rows, across, down, shares.chunks))
        for group in range(channels // projection.GROUP + 1):
            if group:
                with limited_threads(shares.splat_threads):
                    projection.load_planes(values, depths, group, shares.chunks, splats)
            masks, ends = np.empty(len(lists.members), np.int32), np.empty(len(lists.starts) - 1, np.int32)
            with limited_threads(shares.tile_threads):
                tiles.blend(
                    splats, lists.members, lists.starts, group, background, shares.tile_threads, masks, ends,
                    *(image.numpy() for image in images),
                )  # fmt: skip
            passes.append((masks, ends))
        ctx.save_for_backward(means, quats, scales, opacities, colors, *images)
        ctx.drawn = _Drawn(views, intrinsics, size, shares, splats, depths, lists, passes)
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
        sums = _lines(drawn.depths.size * projection.SUMS)
        slots = _scratch(len(lists.members) * projection.SUMS)
        shares = drawn.shares
        for group, (masks, ends) in enumerate(drawn.passes):
            if len(drawn.passes) > 1:
                with limited_threads(shares.splat_threads):
                    projection.load_planes(colors.detach().numpy(), drawn.depths, group, shares.chunks, drawn.splats)
            with limited_threads(shares.tile_threads):
                tiles.unblend(
                    drawn.splats, lists.members, lists.starts, group, shares.tile_threads, masks, ends,
                    *pictures, *g_pictures, slots,
                )  # fmt: skip
            with limited_threads(shares.splat_threads):
                tiles.gather_slots(slots, lists.slot_starts, group, shares.chunks, sums, g_colors, g_depths)
        with limited_threads(shares.splat_threads):
            projection.unproject(
                *geometry, drawn.views, drawn.intrinsics, *drawn.size, shares.chunks, drawn.splats, drawn.depths,
                sums, g_depths, *g_geometry,
            )  # fmt: skip
        return (*gradients, None, None, None, None, None)
