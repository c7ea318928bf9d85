"""Rasterization of 3D Gaussians with any backend: `rasterize`. Usable without the rest of the project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from perse.errors import RecipeError
from perse.gaussians import Gaussians
from perse.geometry import Camera


@dataclass(frozen=True)
class Rendering:
    """Pictures that the cameras see. Leading dimensions are those of gaussians and cameras, broadcast.

    Attributes:
        colors: [..., h, w, c], over the background (premultiplied colours when the background was None).
        alphas: [..., h, w], in [0, 1].
        depths: [..., h, w], metres: the sum of weight × camera z, **not** divided by alpha.
    """

    colors: Float[Tensor, "... h w c"]
    alphas: Float[Tensor, "... h w"]
    depths: Float[Tensor, "... h w"]


class Rasterizer(Protocol):
    """Backend that draws Gaussians. Called by `rasterize`, which checks and broadcasts the arguments first."""

    @property
    def device_types(self) -> tuple[str, ...]:
        """Types of devices where the tensors may be: "cpu", "cuda"."""
        ...

    def draw(self, gaussians: Gaussians, cameras: Camera, background: Float[Tensor, " c"] | None) -> Rendering:
        """Draw a batch.

        Args:
            gaussians: one leading dimension [b], floating point, all on one device.
            cameras: the same leading dimension [b], same device and dtype.
            background: [c], or None for black.
        """
        ...


def rasterize(
    gaussians: Gaussians, cameras: Camera, *, background: Float[Tensor, " c"] | None = None, rasterizer: Rasterizer
) -> Rendering:
    """Draw 3D Gaussians by EWA splatting (Eq. 3; Zwicker et al. 2001; Kerbl et al. 2023), in gsplat's conventions.

    Front to back by camera z of the centre, a pixel gathers ``C = Σ_i T_i α_i c_i`` with ``T_i = Π_{j<i} (1 − α_j)``
    and ``α_i = o_i exp(−½ dᵀ Σ'⁻¹ d)`` sampled at the pixel's centre.

    Args:
        gaussians: n Gaussians with leading dimensions [...]. World space, metres; colours with any number c ≥ 1 of
            channels. Opacities above 1 count as 1. n may be 0.
        cameras: pinhole cameras with leading dimensions that broadcast against those of the Gaussians: several cameras
            and one set, one camera and several sets, or one each. No lens distortion. Skew is ignored.
        background: [c] colour behind the Gaussians, a constant (gets no gradient); None is black. For a picture behind
            them take None and add ``(1 − alpha) · picture``.
        rasterizer: who draws: `ReferenceRasterizer`, `CpuRasterizer` or `GsplatRasterizer`.

    Returns:
        Colours [..., h, w, c], alphas and depths [..., h, w]; all are differentiable, once, with respect to every field
        of ``gaussians`` (colours, opacities, means, scales, quaternions). Cameras get gradients from the reference
        only; the others refuse cameras that require them.

    Not drawn, without error and with zero gradient: a Gaussian nearer than 1 cm or behind the camera; outside of the
    image; with opacity below 1/255; with a NaN or infinity anywhere in its geometry; with a zero quaternion; so large
    that its projection overflows float32. A NaN in a colour is drawn: it spoils the pixels around, with the reference
    all of them.

    Raises:
        ValueError: shapes, devices or dtypes do not fit together.
    """
    lead = torch.broadcast_shapes(gaussians.means.shape[:-2], cameras.world_to_camera.shape[:-2])
    channels = gaussians.colors.shape[-1]
    _check(gaussians, cameras, background)

    def flat(values: Tensor, own: int) -> Tensor:
        shape = values.shape[values.dim() - own :]
        return values.expand(*lead, *shape).reshape(lead.numel(), *shape)

    drawn = rasterizer.draw(
        Gaussians(
            means=flat(gaussians.means, 2),
            quats=flat(gaussians.quats, 2),
            scales=flat(gaussians.scales, 2),
            opacities=flat(gaussians.opacities, 1),
            colors=flat(gaussians.colors, 2),
        ),
        Camera(
            world_to_camera=flat(cameras.world_to_camera, 2).to(gaussians.means.dtype),
            intrinsics=flat(cameras.intrinsics, 2).to(gaussians.means.dtype),
            width=cameras.width,
            height=cameras.height,
        ),
        background,
    )
    size = (cameras.height, cameras.width)
    return Rendering(
        colors=drawn.colors.reshape(*lead, *size, channels),
        alphas=drawn.alphas.reshape(*lead, *size),
        depths=drawn.depths.reshape(*lead, *size),
    )


def check_device(rasterizer: Rasterizer, device: torch.device) -> None:
    """Refuse, before a run starts, a device that its first picture would refuse.

    Raises:
        RecipeError: this rasterizer cannot draw on that device.
    """
    if device.type not in rasterizer.device_types:
        raise RecipeError(
            f"{type(rasterizer).__name__} draws on {' or '.join(rasterizer.device_types)} and the work is to be done "
            f"on {device.type}; give the recipe another rasterizer, or its workers "
            f"{'GPUs' if device.type == 'cpu' else 'no GPUs'} (cluster.train.gpus)"
        )


def _check(gaussians: Gaussians, cameras: Camera, background: Tensor | None) -> None:
    channels = gaussians.colors.shape[-1]
    fields = {name: getattr(gaussians, name) for name in ("means", "quats", "scales", "opacities", "colors")}
    if any(not values.is_floating_point() for values in fields.values()):
        raise ValueError(f"Gaussians must be floating point, got { {k: v.dtype for k, v in fields.items()} }")
    devices = {str(values.device) for values in (*fields.values(), cameras.world_to_camera, cameras.intrinsics)}
    if len(devices) > 1:
        raise ValueError(
            f"Gaussians and cameras must be on one device, got {sorted(devices)}; move them with .to(device)"
        )
    if channels < 1:
        raise ValueError("colors must have at least one channel, got 0")
    if cameras.width < 1 or cameras.height < 1:
        raise ValueError(f"the image must have at least one pixel, got {cameras.width} x {cameras.height}")
    if background is not None and tuple(background.shape) != (channels,):
        raise ValueError(f"background must have shape ({channels},) like the colours, got {tuple(background.shape)}")
    if background is not None and background.requires_grad:
        raise ValueError("the background is a constant; for a gradient, draw on None and add (1 - alpha) * background")
