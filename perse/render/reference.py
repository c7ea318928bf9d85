"""Specification of the rasterizers: every step of EWA splatting in plain torch, gradients by autograd.

Readable and exact (float64 if the Gaussians are), memory n × h × w: for tests and for small pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from perse.gaussians import Gaussians
from perse.geometry import Camera, quaternion_to_matrix
from perse.render.constants import DILATION_PX2, FRUSTUM_MARGIN, MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, NEAR_M
from perse.render.rasterization import Rendering


@dataclass(frozen=True)
class ReferenceRasterizer:
    """Rasterizer that compares every Gaussian with every pixel."""

    @property
    def device_types(self) -> tuple[str, ...]:
        return ("cpu", "cuda")

    def draw(self, gaussians: Gaussians, cameras: Camera, background: Float[Tensor, " c"] | None) -> Rendering:
        """See `perse.render.Rasterizer`. Any device, any floating dtype; differentiable in the cameras too."""
        frames = [
            _draw_one(
                gaussians[b],
                Camera(cameras.world_to_camera[b], cameras.intrinsics[b], cameras.width, cameras.height),
                background,
            )
            for b in range(gaussians.means.shape[0])
        ]
        if not frames:
            return _nothing(gaussians, cameras)
        return Rendering(
            colors=torch.stack([frame.colors for frame in frames]),
            alphas=torch.stack([frame.alphas for frame in frames]),
            depths=torch.stack([frame.depths for frame in frames]),
        )


@dataclass(frozen=True)
class ScreenGaussians:
    """Gaussians on the image plane.

    Attributes:
        means_px: [n, 2] pixels.
        conics: [n, 2, 2] inverse covariances, 1/px².
        depths: [n] camera z, metres.
    """

    means_px: Float[Tensor, "n 2"]
    conics: Float[Tensor, "n 2 2"]
    depths: Float[Tensor, " n"]


def project(gaussians: Gaussians, camera: Camera) -> ScreenGaussians:
    """EWA projection of n Gaussians in front of one camera: Σ' = J W Σ Wᵀ Jᵀ + 0.3 I, J the perspective's Jacobian."""
    points = camera.to_camera(gaussians.means)  # [n, 3]
    x, y, z = points.unbind(-1)
    fx, fy = camera.intrinsics[0, 0], camera.intrinsics[1, 1]
    cx, cy = camera.intrinsics[0, 2], camera.intrinsics[1, 2]

    slope_x = _clamped_slope(x / z, fx, cx, camera.width)
    slope_y = _clamped_slope(y / z, fy, cy, camera.height)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([fx / z, zero, -fx * slope_x / z, zero, fy / z, -fy * slope_y / z], -1).reshape(-1, 2, 3)

    axes = quaternion_to_matrix(gaussians.quats) * gaussians.scales[:, None, :]  # [n, 3, 3], columns are σ_k e_k
    on_screen = jacobian @ camera.world_to_camera[:3, :3] @ axes  # [n, 2, 3]
    dilation = DILATION_PX2 * torch.eye(2, dtype=z.dtype, device=z.device)
    covariances = on_screen @ on_screen.transpose(-1, -2) + dilation
    return ScreenGaussians(
        means_px=torch.stack([fx * x / z + cx, fy * y / z + cy], -1),
        conics=torch.linalg.inv(covariances),
        depths=z,
    )


def _clamped_slope(
    slope: Float[Tensor, " n"], focal: Float[Tensor, ""], centre: Float[Tensor, ""], size: int
) -> Float[Tensor, " n"]:
    """x/z, no farther outside of the image than the frustum margin."""
    margin = FRUSTUM_MARGIN * 0.5 * size / focal
    return torch.minimum(torch.maximum(slope, -centre / focal - margin), (size - centre) / focal + margin)


def _drawable(gaussians: Gaussians, camera: Camera) -> Bool[Tensor, " n"]:
    """Which Gaussians have finite geometry in front of the camera: bool [n]."""
    finite = torch.ones_like(gaussians.opacities, dtype=torch.bool)
    for values in (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities[:, None]):
        finite &= values.isfinite().all(-1)
    in_front = camera.to_camera(gaussians.means)[:, 2] >= NEAR_M
    oriented = gaussians.quats.norm(dim=-1) > 0
    return finite & in_front & oriented & (gaussians.opacities >= MIN_ALPHA)


def _draw_one(gaussians: Gaussians, camera: Camera, background: Float[Tensor, " c"] | None) -> Rendering:
    with torch.no_grad():
        drawable = _drawable(gaussians, camera)
    # Selecting, not multiplying by zero: the gradient of what is left out is zero even where its geometry is NaN.
    gaussians = gaussians[drawable]  # type: ignore[index]
    screen = project(gaussians, camera)
    order = torch.argsort(screen.depths, stable=True)
    depths, colors = screen.depths[order], gaussians.colors[order]

    weights, light = _composite(_alphas(screen, gaussians.opacities, camera)[order])
    values = torch.einsum("nhw,nc->hwc", weights, colors)
    if background is not None:
        values = values + light[..., None] * background.to(values)
    return Rendering(colors=values, alphas=1 - light, depths=torch.einsum("nhw,n->hw", weights, depths))


def _alphas(screen: ScreenGaussians, opacities: Float[Tensor, " n"], camera: Camera) -> Float[Tensor, "n h w"]:
    """Alpha of every Gaussian at every pixel centre: [n, h, w]."""
    ys = torch.arange(camera.height, dtype=opacities.dtype, device=opacities.device) + 0.5
    xs = torch.arange(camera.width, dtype=opacities.dtype, device=opacities.device) + 0.5
    dx = xs[None, None, :] - screen.means_px[:, 0, None, None]  # [n, 1, w]
    dy = ys[None, :, None] - screen.means_px[:, 1, None, None]  # [n, h, 1]
    a, b, c = screen.conics[:, 0, 0], screen.conics[:, 0, 1], screen.conics[:, 1, 1]
    squared = a[:, None, None] * dx * dx + 2 * b[:, None, None] * dx * dy + c[:, None, None] * dy * dy
    alphas = opacities.clamp(max=1)[:, None, None] * torch.exp(-0.5 * squared)
    return torch.where(alphas < MIN_ALPHA, torch.zeros_like(alphas), alphas.clamp(max=MAX_ALPHA))


def _composite(alphas: Float[Tensor, "n h w"]) -> tuple[Tensor, Tensor]:
    """Front-to-back weights T_i α_i [n, h, w] of alphas in depth order, and the light that is left [h, w]."""
    with torch.no_grad():
        finished = torch.cumprod(1 - alphas, dim=0) <= MIN_TRANSMITTANCE
    alphas = torch.where(finished, torch.zeros_like(alphas), alphas)
    passed = torch.cumprod(1 - alphas, dim=0)
    before = torch.cat([torch.ones_like(passed[:1]), passed[:-1]]) if len(passed) else passed
    left = passed[-1] if len(passed) else torch.ones_like(alphas.sum(0))
    return before * alphas, left


def _nothing(gaussians: Gaussians, cameras: Camera) -> Rendering:
    image = gaussians.means.new_zeros(0, cameras.height, cameras.width)
    return Rendering(image[..., None].expand(*image.shape, gaussians.colors.shape[-1]), image, image)
