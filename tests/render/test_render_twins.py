"""The CPU rasterizer is the reference, in value and in gradient."""

from __future__ import annotations

import pytest
import torch
from render_scenes import FIELDS, cameras_around, random_gaussians
from torch import Tensor

from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render import CpuRasterizer, Rasterizer, ReferenceRasterizer, Rendering, rasterize


def _with_gradients(
    gaussians: Gaussians, cameras: Camera, background: Tensor | None, rasterizer: Rasterizer, dtype: torch.dtype
) -> tuple[Rendering, dict[str, Tensor]]:
    """A rendering and the gradients of the same random cotangent of colours, alphas and depths."""
    leaves = Gaussians(*(getattr(gaussians, name).detach().to(dtype).requires_grad_() for name in FIELDS))
    drawn = rasterize(
        leaves,
        cameras.to("cpu", dtype),
        background=None if background is None else background.to(dtype),
        rasterizer=rasterizer,
    )
    generator = torch.Generator().manual_seed(7)
    images = (drawn.colors, drawn.alphas, drawn.depths)
    cotangents = [torch.randn(image.shape, generator=generator, dtype=torch.float64).to(dtype) for image in images]
    sum((image * cotangent).sum() for image, cotangent in zip(images, cotangents, strict=True)).backward()  # type: ignore[union-attr]
    return drawn, {name: getattr(leaves, name).grad for name in FIELDS}


def _relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize(
    ("count", "width", "height", "channels", "frames"),
    [(300, 64, 64, 3, 2), (200, 37, 53, 3, 1), (150, 48, 32, 1, 1), (150, 33, 17, 4, 3), (120, 40, 40, 9, 2)],
)
def test_equals_the_reference(count: int, width: int, height: int, channels: int, frames: int) -> None:
    gaussians = random_gaussians(count, channels=channels, frames=frames, seed=count)
    cameras = cameras_around(frames, width, height)
    background = torch.rand(channels, generator=torch.Generator().manual_seed(3))
    expected, expected_gradients = _with_gradients(gaussians, cameras, background, ReferenceRasterizer(), torch.float64)
    drawn, gradients = _with_gradients(gaussians, cameras, background, CpuRasterizer(2), torch.float32)
    assert float(expected.alphas.detach().mean()) > 0.2  # there is something to see

    # exp2 is a polynomial with a relative error of 5e-6, so that a blended colour may be off by about as much; where an
    # alpha lies within that of 1/255 it may be skipped by one and not by the other, which moves a pixel by up to 1/255.
    # Such flips are rare: the mean must not know them.
    for name in ("colors", "alphas", "depths"):
        difference = (getattr(drawn, name).double() - getattr(expected, name)).abs()
        assert float(difference.detach().max()) < 5e-3  # one flip, as said above: 1/255
        assert float(difference.detach().mean()) < 5e-6
    # Gradients divide by 1 - alpha >= 1e-3 and cancel within a splat: float32 leaves three to four digits.
    for name in FIELDS:
        assert float(expected_gradients[name].norm()) > 0
        assert _relative(gradients[name], expected_gradients[name]) < 1e-3, name  # three digits, as said above


def test_gradients_are_those_of_finite_differences() -> None:
    # Large and faint, far from every cut-off (skipping, clamping, stopping): there the picture is smooth.
    gaussians = random_gaussians(4, channels=2, frames=1, seed=5, spread=0.3, opacity=(0.3, 0.5))[0]
    gaussians = Gaussians(*(getattr(gaussians, name).double() for name in FIELDS))
    gaussians = Gaussians(gaussians.means, gaussians.quats, gaussians.scales * 3, gaussians.opacities, gaussians.colors)
    camera = cameras_around(1, 12, 12)
    camera = Camera(camera.world_to_camera[0].double(), camera.intrinsics[0].double(), 12, 12)

    def draw(*values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        drawn = rasterize(Gaussians(*values), camera, rasterizer=ReferenceRasterizer())
        return drawn.colors, drawn.alphas, drawn.depths

    leaves = [getattr(gaussians, name).clone().requires_grad_() for name in FIELDS]
    # Float64: a difference quotient over 1e-7 keeps half of the digits.
    assert torch.autograd.gradcheck(draw, leaves, eps=1e-7, atol=1e-4, rtol=1e-3)


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    gaussians = random_gaussians(50, channels=3, frames=1, seed=2)
    colors = gaussians.colors.clone().requires_grad_()
    leaves = Gaussians(gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, colors)
    rasterize(leaves, cameras_around(1, 32, 32), rasterizer=CpuRasterizer(1)).colors.sum().backward()
    assert colors.grad is not None and float(colors.grad.sum()) > 0
    assert gaussians.means.grad is None


def test_float64_comes_back_as_float64() -> None:
    gaussians = random_gaussians(50, channels=3, frames=1, seed=2).to("cpu", torch.float64)
    drawn = rasterize(gaussians, cameras_around(1, 32, 32), rasterizer=CpuRasterizer(1))
    assert drawn.colors.dtype == torch.float64


def test_tensors_need_not_be_contiguous() -> None:
    gaussians = random_gaussians(64, channels=3, frames=1, seed=2)
    strided = Gaussians(*(_strided(getattr(gaussians, name)) for name in FIELDS))
    assert not strided.means.is_contiguous()
    camera = cameras_around(1, 32, 32)
    a, b = (rasterize(g, camera, rasterizer=CpuRasterizer(1)) for g in (gaussians, strided))
    assert torch.equal(a.colors, b.colors)


def _strided(values: Tensor) -> Tensor:
    return torch.stack([values, values], -1)[..., 0]
