"""Volume rendering on white: rays, and the quadrature along them (Mildenhall et al. 2020, Eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from torch import Tensor

from perse.geometry import Camera


@dataclass(frozen=True)
class Rays:
    """Rays of some pixels of a picture.

    Attributes:
        pixels: [r] int64, row by row.
        directions: [r, 3] in camera space with z = 1, so that a camera depth times it is a place.
        near, far: [r] camera depths in metres between which there may be something.
    """

    pixels: Int[Tensor, " r"]
    directions: Float[Tensor, "r 3"]
    near: Float[Tensor, " r"]
    far: Float[Tensor, " r"]


def rays_near(points: Float[Tensor, "n 3"], camera: Camera, reach_m: float) -> Rays:
    """Rays of a camera that pass points [n, 3] at no more than about a distance, between the first and the last."""
    places, depths = (values.numpy() for values in camera.project(points))
    ahead = depths > 0.01
    places, depths = places[ahead], depths[ahead]
    pixels_a_metre = float(camera.intrinsics[0, 0]) / max(float(np.median(depths)), 0.01) if len(depths) else 1.0
    margin = max(1, int(np.ceil(reach_m * pixels_a_metre)))
    near, far = _depth_range(places, depths, camera, margin)
    chosen = np.flatnonzero(np.isfinite(near))
    rows, columns = np.divmod(chosen, camera.width)
    centres = torch.from_numpy(np.stack([columns + 0.5, rows + 0.5, np.ones(len(chosen))], 1)).float()
    directions = centres @ torch.linalg.inv(camera.intrinsics.float()).T
    span = (torch.from_numpy(values[chosen]).float() for values in (near, far))
    first, last = span
    return Rays(torch.from_numpy(chosen), directions, first - reach_m, last + reach_m)


def _depth_range(
    places: NDArray[np.float32], depths: NDArray[np.float32], camera: Camera, margin: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least and largest depth [h · w] within a margin of pixels; infinite where nothing is."""
    height, width = camera.height + 2 * margin, camera.width + 2 * margin
    cells = np.floor(places).astype(np.int64) + margin
    inside = (cells >= 0).all(1) & (cells[:, 0] < width) & (cells[:, 1] < height)
    index = cells[inside, 1] * width + cells[inside, 0]
    near, far = (np.full(height * width, value, np.float32) for value in (np.inf, -np.inf))
    np.minimum.at(near, index, depths[inside])
    np.maximum.at(far, index, depths[inside])
    size, inner = 2 * margin + 1, (slice(margin, -margin), slice(margin, -margin))
    near = minimum_filter(near.reshape(height, width), size, mode="nearest")[inner]
    far = maximum_filter(far.reshape(height, width), size, mode="nearest")[inner]
    return near.ravel(), far.ravel()


def middles(rays: Rays, count: int) -> tuple[Float[Tensor, "r k"], Float[Tensor, " r"]]:
    """Camera depths [r, k] in the middles of k equal steps, and the steps' lengths along the ray [r], metres."""
    step = (rays.far - rays.near) / count
    depths = rays.near[:, None] + step[:, None] * (torch.arange(count) + 0.5)
    return depths, step * rays.directions.norm(dim=-1)


def composite(
    densities: Float[Tensor, "r k"], colors: Float[Tensor, "r k 3"], lengths: Float[Tensor, " r"]
) -> tuple[Float[Tensor, "r 3"], Float[Tensor, " r"], Float[Tensor, "r k"]]:
    """The quadrature along rays: w_i = T_i (1 − exp(−σ_i δ)), T_i = exp(−Σ_{j<i} σ_j δ).

    Args:
        densities: [r, k] per metre; colors: [r, k, 3]; lengths: [r] metres, δ.

    Returns:
        colours on white [r, 3], alphas [r], weights [r, k].
    """
    optical = densities * lengths[:, None]
    before = torch.cumsum(optical, -1) - optical
    weights = torch.exp(-before) * (1 - torch.exp(-optical))
    alphas = weights.sum(-1)
    return (weights[..., None] * colors).sum(-2) + (1 - alphas[:, None]), alphas, weights
