"""Smooth 2D warps from a few moved points: a thin-plate spline, evaluated on a coarse grid."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, Shaped, UInt8
from numpy.typing import NDArray

from perse.data import PartMasks
from perse.shapes import Field, Vectors

_CELL_PX = 8
_DUPLICATE_PX = 0.5
# Displacements below this move no pixel value by as much as a grey level.
_STILL_PX = 0.02


def _radial(squared: Float64[NDArray[np.float64], "n m"]) -> Float64[NDArray[np.float64], "n m"]:
    """r² log r of the squared distance, 0 at 0."""
    return 0.5 * squared * np.log(np.maximum(squared, 1e-12))


def thin_plate(
    controls: Float[NDArray[np.floating], "n 2"],
    values: Float[NDArray[np.floating], "n d"],
    queries: Float[NDArray[np.floating], "q 2"],
    smoothing: float = 0.0,
) -> Float64[NDArray[np.float64], "q d"]:
    """Thin-plate spline through values [n, d] at controls [n, 2], read at queries [q, 2] (Duchon 1977).

    Args:
        smoothing: 0 interpolates; larger values let the surface miss its controls to stay flat.
    """
    n = len(controls)
    scale = max(float(np.ptp(controls, axis=0).max()), 1e-6)
    p, q = np.asarray(controls, np.float64) / scale, np.asarray(queries, np.float64) / scale
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _radial(((p[:, None] - p[None]) ** 2).sum(-1)) + smoothing * np.eye(n)
    system[:n, n] = system[n, :n] = 1
    system[:n, n + 1 :] = p
    system[n + 1 :, :n] = p.T
    right = np.zeros((n + 3, values.shape[1]))
    right[:n] = values
    weights = np.linalg.solve(system, right)
    squared = (q**2).sum(1)[:, None] + (p**2).sum(1)[None] - 2 * q @ p.T
    return _radial(np.maximum(squared, 0)) @ weights[:n] + weights[n] + q @ weights[n + 1 :]


def displacement(
    moved_from: Float[NDArray[np.floating], "n 2"],
    moved_to: Float[NDArray[np.floating], "n 2"],
    pinned: Float[NDArray[np.floating], "m 2"],
    window: Field,
) -> Vectors:
    """Backward displacement [h, w, 2], pixels: the warped picture at x shows the old one at x + displacement(x).

    Args:
        moved_from, moved_to: [n, 2] points before and after.
        pinned: [m, 2] points that stay.
        window: [h, w] in 0..1; the displacement is multiplied by it, so that the warp ends where it is 0.
    """
    rows, columns = np.nonzero(window > 0)
    if not len(rows):
        raise ValueError("the window of a warp is empty")
    controls = np.concatenate([moved_to, pinned])
    values = np.concatenate([np.subtract(moved_from, moved_to), np.zeros_like(pinned)])
    # Points that fall on each other would make the system singular.
    _, first = np.unique(np.round(controls / _DUPLICATE_PX), axis=0, return_index=True)
    first = np.sort(first)
    top, left = rows.min(), columns.min()
    height, width = rows.max() + 1 - top, columns.max() + 1 - left
    grid_y = np.linspace(top, top + height - 1, max(2, height // _CELL_PX + 1))
    grid_x = np.linspace(left, left + width - 1, max(2, width // _CELL_PX + 1))
    queries = np.stack(np.meshgrid(grid_x, grid_y), -1).reshape(-1, 2)
    coarse = thin_plate(controls[first], values[first], queries, 1e-6).reshape(len(grid_y), len(grid_x), 2)
    # cv2.remap at exact node positions: cv2.resize would shift the grid by half a cell.
    at_y, at_x = np.mgrid[0 : len(grid_y) - 1 : height * 1j, 0 : len(grid_x) - 1 : width * 1j].astype(np.float32)
    fine = cv2.remap(coarse.astype(np.float32), at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    result = np.zeros((*window.shape, 2), np.float32)
    result[top : top + height, left : left + width] = fine
    return result * window[..., None]


def moved_region(field: Vectors) -> Field:
    """Mask that is 1 where a displacement moves the picture, 0 where it stands still."""
    return (np.abs(field).max(-1) > _STILL_PX).astype(np.float32)


def warp(
    picture: Float32[NDArray[np.float32], "h w *c"] | UInt8[NDArray[np.uint8], "h w *c"],
    field: Vectors,
    *,
    soft: bool = False,
) -> Shaped[NDArray[Any], "h w *c"]:
    """A picture or mask, [h, w] or [h, w, c], seen through a backward displacement.

    Args:
        soft: linear sampling, for masks, which must not ring; pictures are sampled by Lanczos to stay sharp.
    """
    height, width = field.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    flags = cv2.INTER_LINEAR if soft else cv2.INTER_LANCZOS4
    return cv2.remap(picture, columns + field[..., 0], rows + field[..., 1], flags, borderMode=cv2.BORDER_REPLICATE)


def warp_masks(masks: PartMasks, field: Vectors) -> PartMasks:
    """All part masks seen through the same displacement; still channels are not touched."""
    moving = moved_region(field) > 0
    soft = masks.soft.copy()
    for part in range(len(soft)):
        if soft[part][moving].any():
            soft[part] = warp(soft[part], field, soft=True)
    return PartMasks(soft, np.asarray(warp(masks.person, field, soft=True), np.uint8))


def move_points(points: Float32[NDArray[np.float32], "n 2"], field: Vectors) -> Float32[NDArray[np.float32], "n 2"]:
    """Places in the warped picture of points [n, 2] of the old one (inverts the displacement by fixed point)."""
    result = points.astype(np.float32).copy()
    for _ in range(12):
        at = result[None].astype(np.float32)
        step = cv2.remap(field, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        result = points - step
    return result.astype(np.float32)
