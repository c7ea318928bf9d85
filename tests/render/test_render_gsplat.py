"""The CUDA adapter without CUDA: what it hands to gsplat, and gsplat's own torch formulas against ours."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from render_scenes import cameras_around, random_gaussians

from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render.constants import DILATION_PX2, NEAR_M
from perse.render.gsplat import draw_with
from perse.render.reference import project

gsplat = pytest.importorskip("gsplat")


class Recorder:
    """Takes a call as gsplat's function would, by its real signature, and answers in its shapes."""

    def __call__(self, **arguments: object) -> tuple[torch.Tensor, torch.Tensor, dict[str, object]]:
        bound = inspect.signature(gsplat.rasterization).bind(**arguments)
        bound.apply_defaults()
        self.given = bound.arguments
        b, c = self.given["viewmats"].shape[:2]
        size = (b, c, self.given["height"], self.given["width"])
        channels = self.given["colors"].shape[-1] + 1
        values = torch.arange(channels, dtype=torch.float32).expand(*size, channels).clone()
        return values, torch.full((*size, 1), 0.25), {}


def test_the_call_fits_gsplats_signature_and_shapes() -> None:
    gaussians, cameras, recorder = random_gaussians(20, frames=3), cameras_around(3, 24, 16), Recorder()
    background = torch.tensor([1.0, 0.0, 2.0])
    drawn = draw_with(recorder, gaussians, cameras, background)
    given = recorder.given
    # As gsplat asserts: leading [b], then one camera each, colours of Gaussians rather than harmonics.
    assert given["means"].shape == (3, 20, 3) and given["colors"].shape == (3, 20, 3) and given["sh_degree"] is None
    assert given["viewmats"].shape == (3, 1, 4, 4) and given["Ks"].shape == (3, 1, 3, 3)
    assert (given["near_plane"], given["eps2d"], given["camera_model"]) == (NEAR_M, DILATION_PX2, "pinhole")
    assert (given["tile_size"], given["rasterize_mode"]) == (16, "classic")
    assert drawn.colors.shape == (3, 16, 24, 3) and drawn.alphas.shape == drawn.depths.shape == (3, 16, 24)
    # RGB+D: the last channel is the depth; the background shows where the alpha leaves it.
    torch.testing.assert_close(drawn.colors[0, 0, 0], torch.tensor([0.0, 1.0, 2.0]) + 0.75 * background)
    assert float(drawn.depths[0, 0, 0]) == 3 and float(drawn.alphas[0, 0, 0]) == 0.25


@pytest.mark.parametrize("field", ["means", "quats", "scales", "opacities"])
def test_bad_geometry_never_reaches_gsplat(field: str) -> None:
    gaussians, recorder = random_gaussians(5, frames=1, seed=3), Recorder()
    values = {name: getattr(gaussians, name).clone() for name in ("means", "quats", "scales", "opacities", "colors")}
    values[field][0, 2] = math.nan
    draw_with(recorder, Gaussians(**values), cameras_around(1, 8, 8), None)
    assert all(recorder.given[name].isfinite().all() for name in values)
    assert float(recorder.given["opacities"][0, 2]) == 0 and float(recorder.given["opacities"][0, 1]) > 0


def test_nothing_is_drawn_without_gsplat() -> None:
    background = torch.tensor([0.1, 0.2, 0.3])
    drawn = draw_with(Recorder(), random_gaussians(0, frames=2), cameras_around(2, 9, 7), background)
    torch.testing.assert_close(drawn.colors, background.expand(2, 7, 9, 3))
    assert float(drawn.alphas.abs().max()) == 0 and drawn.depths.shape == (2, 7, 9)


def test_our_projection_is_gsplats() -> None:
    """Against the plain torch formulas that gsplat tests its kernels with, also outside of the frustum's margin."""
    from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci

    gaussians = random_gaussians(200, frames=1, seed=5, spread=2.5)[0].to("cpu", torch.float64)
    cameras = cameras_around(1, 40, 30).to("cpu", torch.float64)
    covariances, _ = _quat_scale_to_covar_preci(gaussians.quats, gaussians.scales, True, False)
    _, means_px, depths, conics, _ = _fully_fused_projection(
        gaussians.means, covariances, cameras.world_to_camera, cameras.intrinsics, 40, 30, DILATION_PX2, NEAR_M
    )
    screen = project(gaussians, Camera(cameras.world_to_camera[0], cameras.intrinsics[0], 40, 30))
    outside = (screen.means_px[:, 0] < -0.15 * 40) | (screen.means_px[:, 0] > 1.15 * 40)
    assert 10 < int(outside.sum()) < 190
    torch.testing.assert_close(screen.means_px, means_px[0])
    torch.testing.assert_close(screen.depths, depths[0])
    torch.testing.assert_close(screen.conics.flatten(1)[:, [0, 1, 3]], conics[0])
