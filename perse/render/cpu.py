"""The CPU backend: numba kernels behind a `torch.autograd.Function`.

::

    project ─► sort by depth ─► tile lists ─► blend tiles                      forward
    gradients ◄─ unproject ◄─ gather slots ◄─ unblend tiles                    backward

Blending takes four values at a time, RGB and depth for a picture; more channels are drawn in more passes over the same
tile lists. Gradients are linear in the cotangents, so the passes' gradients add up.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class _TileLists:
    """See `perse.render.binning_kernels.fill_pairs`; starts [f · tiles + 1] delimit the tiles in members."""

    starts: NDArray[np.int32]
    members: NDArray[np.int32]
    places: NDArray[np.int32]
    first_place: NDArray[np.int32]


def _list_tiles(
    splats: NDArray[np.float32], keys: NDArray[np.uint32], size: tuple[int, int], chunks: int
) -> _TileLists:
    from perse.render import binning_kernels as binning

    frames, count = keys.shape
    width, height = size
    tiles = -(-width // binning.TILE) * -(-height // binning.TILE)
    order = np.empty((frames, count), np.int32)
    binning.sort_by_depth(keys, chunks, order)
    counts = np.empty((frames, chunks, tiles), np.int32)
    chunk_pairs = np.empty((frames, chunks), np.int32)
    binning.count_pairs(splats, keys, order, width, height, chunks, counts, chunk_pairs)
    starts = np.empty(frames * tiles + 1, np.int32)
    pairs = binning.place_pairs(counts, chunk_pairs, starts)
    members, places = np.empty(pairs, np.int32), np.empty(pairs, np.int32)
    first_place = np.empty((frames, count, 2), np.int32)
    binning.fill_pairs(
        splats, keys, order, width, height, chunks, counts, chunk_pairs, members, places, first_place
    )  # fmt: skip
    return _TileLists(starts, members, places, first_place)


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
        chunks = -(-threads // max(frames, 1))
        geometry = [values.detach().numpy() for values in (means, quats, scales, opacities)]
        values = colors.detach().numpy()
        images = [torch.empty(frames, height, width, channels)] + [torch.empty(frames, height, width) for _ in range(2)]
        image_arrays = tuple(image.numpy() for image in images)
        splats = np.empty((frames, count, projection.SPLAT_SIZE), np.float32)
        depths, keys = np.empty((frames, count), np.float32), np.empty((frames, count), np.uint32)
        with limited_threads(threads):
            projection.project_splats(*geometry, views, intrinsics, width, height, chunks, splats, depths, keys)
            lists = _list_tiles(splats, keys, size, chunks)
            passes = []
            for group in range(channels // tiles.GROUP + 1):
                tiles.load_planes(values, depths, group, splats)
                masks = np.empty(len(lists.members), np.int32)
                ends = np.empty(len(lists.starts) - 1, np.int32)
                tiles.blend(
                    splats.reshape(-1, projection.SPLAT_SIZE), lists.members, lists.starts, group, background, threads,
                    masks, ends, image_arrays,
                )  # fmt: skip
                passes.append((masks, ends))
        ctx.save_for_backward(means, quats, scales, opacities, colors, *images)
        ctx.constants = (views, intrinsics, background, size, threads, splats, depths, lists, passes)
        return images[0], images[1], images[2]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        from perse.render import tile_kernels as tiles

        views, intrinsics, background, (width, height), threads, splats, depths, lists, passes = ctx.constants
        means, quats, scales, opacities, colors, *images = ctx.saved_tensors
        geometry = [values.detach().numpy() for values in (means, quats, scales, opacities)]
        values = colors.detach().numpy()
        frames, count, _ = values.shape
        chunks = -(-threads // max(frames, 1))
        image_arrays = tuple(image.detach().numpy() for image in images)
        g_images = tuple(cotangent.contiguous().numpy() for cotangent in cotangents)
        gradients = [torch.empty_like(v) for v in (means, quats, scales, opacities, colors)]
        g_geometry = [gradient.numpy() for gradient in gradients[:4]]
        g_depths = np.empty((frames, count), np.float32)
        moments = np.zeros((frames, count, 6), np.float32)
        slots = np.empty(len(lists.members) * tiles.SLOT, np.float32)
        with limited_threads(threads):
            for group, (masks, ends) in enumerate(passes):
                if len(passes) > 1:
                    tiles.load_planes(values, depths, group, splats)
                tiles.unblend(
                    splats.reshape(-1, splats.shape[-1]), lists.members, lists.starts, group, background, threads,
                    masks, ends, image_arrays, g_images, slots,
                )  # fmt: skip
                tiles.gather_slots(
                    slots, lists.places, lists.first_place, group, chunks, moments, gradients[4].numpy(), g_depths
                )
            tiles.unproject(
                *geometry, views, intrinsics, width, height, chunks, splats, depths, moments, g_depths, *g_geometry
            )
        return (*gradients, None, None, None, None, None)
