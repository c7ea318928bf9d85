"""A z-buffer for triangle meshes: which triangle is seen at which pixel, and where inside it.

Used to animate and to edit portraits, never inside the avatar. One thread by design: the pipeline runs one animator
per core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from perse.geometry.camera import Camera
from perse.render.compiled import exact_kernel
from perse.render.triangle_kernels import at_pixel, pixel_box, signed_area
from perse.shapes import SoftMask


@dataclass(frozen=True)
class MeshFragments:
    """The nearest surface at every pixel.

    Attributes:
        depth: [h, w] float32, camera z in metres; +inf where nothing is seen.
        face: [h, w] int32, triangle index; -1 where nothing is seen.
        weights: [h, w, 3] float32, perspective-correct barycentric weights; zeros where nothing is seen.
    """

    depth: SoftMask
    face: Int32[np.ndarray, "h w"]
    weights: Float32[np.ndarray, "h w 3"]

    def interpolate(
        self, faces: Int32[np.ndarray, "t 3"], values: Float32[np.ndarray, "v c"]
    ) -> Float32[np.ndarray, "h w c"]:
        """Per-vertex values [v, c] at every pixel: [h, w, c], zeros where nothing is seen."""
        out = np.zeros((*self.face.shape, values.shape[1]), np.float32)
        _interpolate(self.face, self.weights, faces, np.ascontiguousarray(values, np.float32), out)
        return out


def project_vertices(vertices: Float32[np.ndarray, "v 3"], camera: Camera) -> Float32[np.ndarray, "v 3"]:
    """World vertices [v, 3] in metres to [v, 3]: pixel x, pixel y, camera depth in metres."""
    world_to_camera = camera.world_to_camera.numpy().astype(np.float64)
    intrinsics = camera.intrinsics.numpy().astype(np.float64)
    in_camera = vertices @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    pixels = in_camera @ intrinsics.T
    return np.stack([pixels[:, 0] / pixels[:, 2], pixels[:, 1] / pixels[:, 2], in_camera[:, 2]], 1).astype(np.float32)


def rasterize_mesh(
    vertices_px: Float32[np.ndarray, "v 3"],
    faces: Int32[np.ndarray, "t 3"],
    width: int,
    height: int,
    *,
    cull_backfaces: bool = True,
) -> MeshFragments:
    """Draw triangles into a z-buffer.

    Args:
        vertices_px: [v, 3] from `project_vertices`. Triangles with a corner at depth ≤ 1 mm are dropped.
        faces: [t, 3] int32, counter-clockwise seen from outside.
        cull_backfaces: leave out triangles seen from behind.
    """
    depth = np.full((height, width), np.inf, np.float32)
    face = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    _rasterize(
        np.ascontiguousarray(vertices_px, np.float32), np.ascontiguousarray(faces, np.int32),
        cull_backfaces, depth, face, weights,
    )  # fmt: skip
    return MeshFragments(depth, face, weights)


@exact_kernel
def _rasterize(vertices, faces, cull, depth, face, weights):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        area = signed_area(vertices, a, b, c)
        if area == 0 or (cull and area > 0):
            continue
        left, right, top, bottom = pixel_box(vertices, a, b, c, width, height)
        inverse_area = 1.0 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                z, w0, w1, w2 = at_pixel(vertices, a, b, c, inverse_area, x, y)
                if 0 < z < depth[y, x]:
                    depth[y, x] = z
                    face[y, x] = t
                    weights[y, x, 0] = w0
                    weights[y, x, 1] = w1
                    weights[y, x, 2] = w2


@exact_kernel
def _interpolate(face, weights, faces, values, out):  # type: ignore[no-untyped-def]
    height, width = face.shape
    for y in range(height):
        for x in range(width):
            t = face[y, x]
            if t < 0:
                continue
            for k in range(values.shape[1]):
                out[y, x, k] = (
                    weights[y, x, 0] * values[faces[t, 0], k]
                    + weights[y, x, 1] * values[faces[t, 1], k]
                    + weights[y, x, 2] * values[faces[t, 2], k]
                )
