"""Which points of a surface a picture shows, and how well."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from perse.body.model.upsampling import unit_normals
from perse.geometry import Camera
from perse.render import project_vertices, rasterize_mesh

GRAZING, FRONTAL = 0.15, 0.45
"""Cosines between which a surface goes from unseen to seen: at a grazing angle the picture is smeared along it."""
DEPTH_TOLERANCE_M = 0.012
EDGE_PX = 2.0
"""So near to the person's outline the background has mixed in."""


def seen_in(
    points: Float[Tensor, "n 3"],
    faces: Int[Tensor, "t 3"],
    camera: Camera,
    mask: Float[NDArray[np.float32], "h w"],
    tolerance_m: float = DEPTH_TOLERANCE_M,
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
    """Places [n, 2] in pixels and visibilities [n] in [0, 1] of posed points [n, 3].

    Args:
        mask: [h, w] in [0, 1], where the picture shows the surface.
        tolerance_m: points that lie no deeper below what is seen count as seen.
    """
    pixels = project_vertices(points.numpy(), camera)
    fragments = rasterize_mesh(pixels, faces.numpy().astype(np.int32), camera.width, camera.height)
    eye = -camera.world_to_camera[:3, :3].T @ camera.world_to_camera[:3, 3]
    towards = torch.nn.functional.normalize(eye - points, dim=-1)
    facing = (unit_normals(points, faces) * towards).sum(-1).numpy()
    across, down = pixels[:, 0] - np.float32(0.5), pixels[:, 1] - np.float32(0.5)

    def looked_up(values: NDArray[np.float32], outside: float) -> NDArray[np.float32]:
        found = map_coordinates(values, [down, across], order=1, mode="constant", cval=outside)
        return np.asarray(found, np.float32)

    depth = np.where(np.isfinite(fragments.depth), fragments.depth, 1e3).astype(np.float32)
    nearest = cv2.erode(depth, np.ones((3, 3), np.uint8))
    in_front = pixels[:, 2] <= looked_up(np.asarray(nearest, np.float32), 1e3) + tolerance_m
    away = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5).astype(np.float32)
    inside = np.clip(looked_up(away, 0.0) / EDGE_PX, 0, 1)
    seen = np.clip((facing - GRAZING) / (FRONTAL - GRAZING), 0, 1) * in_front * inside
    return torch.from_numpy(pixels[:, :2]), torch.from_numpy(seen.astype(np.float32))
