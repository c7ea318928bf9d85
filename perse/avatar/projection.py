"""Projection of canonical points: the pixel of each in every frame, and whether the head hides it there.

Skinning, projection and the look into the z-buffer in one pass over the points: half a million voxels in two dozen
frames take a second instead of twenty.
"""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float, Float32, Int32
from torch import Tensor

from perse.avatar.motion import FrameMotion
from perse.avatar.points import as_array
from perse.geometry import Camera
from perse.render.compiled import parallel_exact_kernel
from perse.render.threads import limited_threads, thread_count

HIDDEN_M = 0.010
"""A point is hidden where the head mesh lies in front of it by more than this."""

UNSEEN = -1


def visible_pixels(
    points: Float[Tensor, "1 n 3"],
    skinning: Float[Tensor, "n j"],
    motion: FrameMotion,
    camera: Camera,
    occluder: Float32[np.ndarray, "f h w"] | None = None,
) -> Int32[np.ndarray, "f n"]:
    """Pixel index y · w + x of every point in every frame.

    Args:
        points: [1, n, 3], or [f, n, 3] with each frame's blendshapes already added; rest space, metres.
        skinning: [n, j].
        motion: f frames.
        camera: static.
        occluder: [f, h, w] depth of the head mesh, metres, +inf beside it; None hides nothing.

    Returns:
        [f, n] int32; `UNSEEN` outside the picture, behind the camera, or hidden.
    """
    pixels = np.empty((len(motion), points.shape[1]), np.int32)
    size = (camera.height, camera.width)
    depth = np.full((1, *size), np.inf, np.float32) if occluder is None else occluder
    with limited_threads(thread_count(None)):
        _project(
            as_array(points), as_array(skinning), as_array(motion.transforms), as_array(camera.world_to_camera),
            as_array(camera.intrinsics), depth, pixels,
        )  # fmt: skip
    return pixels


@parallel_exact_kernel
def _project(points, skinning, transforms, view, intrinsics, occluder, pixels):  # type: ignore[no-untyped-def]
    n_frames, n = pixels.shape
    height, width = occluder.shape[1:]
    for i in numba.prange(n):
        for f in range(n_frames):
            x, y, z = points[f if points.shape[0] > 1 else 0, i]
            px, py, pz = np.float32(0), np.float32(0), np.float32(0)
            for j in range(skinning.shape[1]):
                w = skinning[i, j]
                if w > 0:
                    t = transforms[f, j]
                    px += w * (t[0, 0] * x + t[0, 1] * y + t[0, 2] * z + t[0, 3])
                    py += w * (t[1, 0] * x + t[1, 1] * y + t[1, 2] * z + t[1, 3])
                    pz += w * (t[2, 0] * x + t[2, 1] * y + t[2, 2] * z + t[2, 3])
            cx = view[0, 0] * px + view[0, 1] * py + view[0, 2] * pz + view[0, 3]
            cy = view[1, 0] * px + view[1, 1] * py + view[1, 2] * pz + view[1, 3]
            cz = view[2, 0] * px + view[2, 1] * py + view[2, 2] * pz + view[2, 3]
            pixels[f, i] = UNSEEN
            if cz > 0:
                u = np.floor(intrinsics[0, 0] * cx / cz + intrinsics[0, 2])
                v = np.floor(intrinsics[1, 1] * cy / cz + intrinsics[1, 2])
                if 0 <= u < width and 0 <= v < height:
                    column, row = int(u), int(v)
                    in_front = occluder[f if occluder.shape[0] > 1 else 0, row, column]
                    if cz <= in_front + HIDDEN_M:
                        pixels[f, i] = row * width + column
