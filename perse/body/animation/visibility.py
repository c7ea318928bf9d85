"""Visibility of a surface's points in a picture, in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

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
from perse.shapes import SoftMask

EDGE_PX = 2.0
"""So near to the person's outline the background has mixed in."""


@dataclass(frozen=True)
class Sight:
    """Conditions under which a picture shows a point.

    Attributes:
        tolerance_m: points that lie no deeper below what is seen count as seen.
        rim_px: and so far around, where a pixel may show something nearer instead.
        unseen, well: cosines between which a surface goes from unseen to seen: at a grazing angle the picture is
            smeared along it.
    """

    tolerance_m: float = 0.012
    rim_px: int = 1
    unseen: float = 0.15
    well: float = 0.45


OUTER = Sight()
WITHIN = Sight(tolerance_m=0.002, rim_px=0, unseen=-1.1, well=-1.0)
"""Of what a mouth is open upon. A tooth 2 mm behind a lip is not seen, otherwise it had the lip's colours; but of what
lies open the picture is right at any angle: a model's tongue falls away steeply where a smile shows teeth."""


def seen_in(
    points: Float[Tensor, "n 3"],
    faces: Int[Tensor, "t 3"],
    camera: Camera,
    mask: SoftMask,
    sight: Sight = OUTER,
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
    """Places in pixels and visibilities in [0, 1] of posed points.

    Args:
        mask: in [0, 1], where the picture shows the surface.
        sight: when a point is seen.
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
    nearest = cv2.erode(depth, np.ones((2 * sight.rim_px + 1,) * 2, np.uint8))
    in_front = pixels[:, 2] <= looked_up(np.asarray(nearest, np.float32), 1e3) + sight.tolerance_m
    away = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5).astype(np.float32)
    inside = np.clip(looked_up(away, 0.0) / EDGE_PX, 0, 1)
    angle = np.clip((facing - sight.unseen) / (sight.well - sight.unseen), 0, 1)
    seen = angle * in_front * inside
    return torch.from_numpy(pixels[:, :2]), torch.from_numpy(seen.astype(np.float32))
