"""CUDA backend: an adapter to gsplat's rasterizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render.constants import DILATION_PX2, NEAR_M
from perse.render.rasterization import Rendering


@dataclass(frozen=True)
class GsplatRasterizer:
    """Rasterizer by gsplat on a CUDA device.

    gsplat is imported, and its kernels are compiled if they have not been, at the first call. Its cut-offs (1/255,
    0.999, 1e-4, 0.3 px², 1 cm) are those of the twins, so that the same contract tests hold.
    """

    @property
    def device_types(self) -> tuple[str, ...]:
        return ("cuda",)

    def draw(self, gaussians: Gaussians, cameras: Camera, background: Float[Tensor, " c"] | None) -> Rendering:
        """See `perse.render.Rasterizer`.

        Raises:
            RuntimeError: gsplat is not installed, or the tensors are not on a CUDA device.
        """
        if gaussians.means.device.type != "cuda":
            raise RuntimeError(
                f"GsplatRasterizer draws on CUDA devices only, got tensors on {gaussians.means.device}; "
                "move them there, or use CpuRasterizer"
            )
        if cameras.world_to_camera.requires_grad or cameras.intrinsics.requires_grad:
            raise ValueError("cameras get gradients from ReferenceRasterizer only; detach them")
        try:
            from gsplat import rasterization
        except ImportError as error:
            raise RuntimeError("GsplatRasterizer needs the gsplat package: pip install gsplat==1.5.3") from error

        return draw_with(rasterization, gaussians, cameras, background)


def draw_with(
    rasterization: Callable[..., tuple[Float[Tensor, "..."], Float[Tensor, "..."], Any]],
    gaussians: Gaussians,
    cameras: Camera,
    background: Float[Tensor, " c"] | None,
) -> Rendering:
    """Draw with ``gsplat.rasterization``, an argument so that a test can look at what it is given without a GPU."""
    (frames, count), dtype = gaussians.means.shape[:2], gaussians.means.dtype
    if frames * count == 0:  # which the kernels are not made for
        return _nothing(gaussians, cameras, background)
    usable = _finite(gaussians)
    values, alphas, _ = rasterization(
        means=_kept(gaussians.means, usable).float(),
        quats=torch.where(usable[..., None], gaussians.quats, torch.ones_like(gaussians.quats)).float(),
        scales=_kept(gaussians.scales, usable).float(),
        opacities=torch.where(usable, gaussians.opacities.clamp(max=1), torch.zeros_like(gaussians.opacities)).float(),
        colors=gaussians.colors.float(),
        viewmats=cameras.world_to_camera.float()[:, None],
        Ks=cameras.intrinsics.float()[:, None],
        width=cameras.width,
        height=cameras.height,
        near_plane=NEAR_M,
        eps2d=DILATION_PX2,
        packed=False,
        render_mode="RGB+D",
    )  # [b, 1, h, w, c + 1], [b, 1, h, w, 1]
    colors, alphas = values[:, 0, ..., :-1], alphas[:, 0, ..., 0]
    if background is not None:
        colors = colors + (1 - alphas[..., None]) * background.to(colors)
    return Rendering(colors.to(dtype), alphas.to(dtype), values[:, 0, ..., -1].to(dtype))


def _nothing(gaussians: Gaussians, cameras: Camera, background: Float[Tensor, " c"] | None) -> Rendering:
    size = (gaussians.means.shape[0], cameras.height, cameras.width)
    empty, channels = gaussians.means.new_zeros(size), gaussians.colors.shape[-1]
    colors = empty.new_zeros(channels) if background is None else background.to(empty)
    return Rendering(colors.expand(*size, channels).clone(), empty, empty.clone())


def _finite(gaussians: Gaussians) -> Bool[Tensor, "b n"]:
    """Which Gaussians gsplat may see: bool [b, n]."""
    geometry = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities[..., None])
    finite = torch.stack([values.isfinite().all(-1) for values in geometry]).all(0)
    return finite & (gaussians.quats.norm(dim=-1) > 0)


def _kept(values: Tensor, usable: Tensor) -> Tensor:
    return torch.where(usable[..., None], values, torch.zeros_like(values))
