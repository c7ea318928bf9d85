"""A rasterizer in plain torch that also fits large scenes: a list of all (Gaussian, pixel) pairs, and autograd.

Nobody's production code, but what one writes who has torch and nothing else: the column "plain torch" of the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render import Rendering
from perse.render.constants import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, NEAR_M
from perse.render.reference import ScreenGaussians, project


@dataclass(frozen=True)
class PairRasterizer:
    """Draws frame by frame; memory grows with the pixels that all Gaussians cover together."""

    def draw(self, gaussians: Gaussians, cameras: Camera, background: Tensor | None) -> Rendering:
        """See `perse.render.Rasterizer`. Any device; geometry must be finite."""
        frames = [
            _draw_one(
                gaussians[b],
                Camera(cameras.world_to_camera[b], cameras.intrinsics[b], cameras.width, cameras.height),
                background,
            )
            for b in range(gaussians.means.shape[0])
        ]
        return Rendering(*(torch.stack([getattr(f, name) for f in frames]) for name in ("colors", "alphas", "depths")))


def _draw_one(gaussians: Gaussians, camera: Camera, background: Tensor | None) -> Rendering:
    with torch.no_grad():
        depths = camera.to_camera(gaussians.means)[:, 2]
        drawn = torch.nonzero((depths >= NEAR_M) & (gaussians.opacities >= MIN_ALPHA))[:, 0]
        drawn = drawn[torch.argsort(depths[drawn], stable=True)]
    gaussians = gaussians[drawn]  # type: ignore[index]
    screen = project(gaussians, camera)
    opacities = gaussians.opacities.clamp(max=1)

    splats, pixels = _pairs(screen, opacities, camera)
    alphas = _alpha(screen, opacities, splats, pixels, camera.width)
    splats, pixels, alphas = (values[alphas >= MIN_ALPHA] for values in (splats, pixels, alphas))
    order = torch.argsort(pixels, stable=True)
    splats, pixels, alphas = splats[order], pixels[order], alphas[order].clamp(max=MAX_ALPHA)
    weights = _weights(alphas, pixels)

    def summed(values: Tensor) -> Tensor:
        empty = values.new_zeros(camera.height * camera.width, *values.shape[1:])
        return empty.index_add(0, pixels, values).reshape(camera.height, camera.width, *values.shape[1:])

    colors = summed(weights[:, None] * gaussians.colors[splats])
    coverage = summed(weights)
    if background is not None:
        colors = colors + (1 - coverage)[..., None] * background
    return Rendering(colors, coverage, summed(weights * screen.depths[splats]))


@torch.no_grad()
def _pairs(screen: ScreenGaussians, opacities: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Splat and pixel of every pair in the boxes that alphas above the threshold fit into, splats in order."""
    a, b, c = screen.conics[:, 0, 0], screen.conics[:, 0, 1], screen.conics[:, 1, 1]
    reach = 2 * torch.log(opacities / MIN_ALPHA) / (a * c - b * b)
    first, size = [], []
    for axis, (curvature, limit) in enumerate(((c, camera.width), (a, camera.height))):
        extent, centre = (reach * curvature).sqrt(), screen.means_px[:, axis]
        low = (centre - extent - 0.5).ceil().clamp(0, limit)
        high = (centre + extent - 0.5).floor().clamp(-1, limit - 1)
        first.append(low.long())
        size.append((high - low + 1).clamp(min=0).long())
    counts = size[0] * size[1]
    splats = torch.repeat_interleave(counts)
    place = torch.arange(len(splats), device=splats.device) - (counts.cumsum(0) - counts)[splats]
    wide = size[0][splats]
    x, y = first[0][splats] + place % wide, first[1][splats] + place // wide
    return splats, y * camera.width + x


def _alpha(screen: ScreenGaussians, opacities: Tensor, splats: Tensor, pixels: Tensor, width: int) -> Tensor:
    centres = torch.stack([pixels % width, pixels // width], -1) + 0.5
    offset = centres - screen.means_px[splats]
    squared = ((screen.conics[splats] @ offset[..., None])[..., 0] * offset).sum(-1)
    return opacities[splats] * torch.exp(-0.5 * squared)


def _weights(alphas: Tensor, pixels: Tensor) -> Tensor:
    """T_i α_i of pairs that are sorted by pixel and, within a pixel, by depth."""
    passed = torch.log1p(-alphas.double())
    before = passed.cumsum(0) - passed
    starts = torch.ones_like(pixels, dtype=torch.bool)
    starts[1:] = pixels[1:] != pixels[:-1]
    own_start = torch.nonzero(starts)[:, 0][starts.cumsum(0) - 1]
    before = before - before[own_start]
    with torch.no_grad():
        open_still = torch.exp(before + passed) > MIN_TRANSMITTANCE
    return (torch.exp(before) * open_still).to(alphas) * alphas
