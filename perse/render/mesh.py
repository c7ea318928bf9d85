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
    """Pixel x, pixel y and camera depth in metres, [v, 3], of vertices [v, 3] of the world in metres."""
    pixels = np.empty((len(vertices), 3), np.float32)
    _project(
        np.ascontiguousarray(vertices, np.float32), camera.world_to_camera.numpy().astype(np.float64),
        camera.intrinsics.numpy().astype(np.float64), pixels,
    )  # fmt: skip
    return pixels


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
def _project(vertices, world_to_camera, intrinsics, pixels):  # type: ignore[no-untyped-def]
    """A kernel, because a million texels in float64 do not fit into any cache: nine times as fast (measured)."""
    m, k = world_to_camera, intrinsics
    for i in range(vertices.shape[0]):
        x, y, z = np.float64(vertices[i, 0]), np.float64(vertices[i, 1]), np.float64(vertices[i, 2])
        cx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
        cy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
        cz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
        scale = k[2, 0] * cx + k[2, 1] * cy + k[2, 2] * cz
        pixels[i, 0] = (k[0, 0] * cx + k[0, 1] * cy + k[0, 2] * cz) / scale
        pixels[i, 1] = (k[1, 0] * cx + k[1, 1] * cy + k[1, 2] * cz) / scale
        pixels[i, 2] = cz


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
