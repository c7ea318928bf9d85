"""Pose of the head in the photograph: where every vertex lies in the picture and which of them are seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from numpy.typing import NDArray

from perse.geometry import Camera
from perse.head import HeadParameters, blend_transforms, pose_head
from perse.render.mesh import MeshFragments, project_vertices, rasterize_mesh
from perse.synthesis.procedural.animator.canvas import vertex_normals
from perse.synthesis.procedural.animator.surface import HeadSurface

_VISIBLE_WITHIN_M = 0.004
_COLUMNS = 2**14


@dataclass(frozen=True)
class OwnPose:
    """Drawn mesh in the portrait's own expression and pose.

    Attributes:
        vertices: [n, 3] metres, world; normals: [n, 3] unit.
        pixels: [n, 3] pixel x, y and depth in metres, at the photograph's size.
        facing: [n] cosine between normal and the direction to the camera.
        fragments: the z-buffer at the photograph's size.
        rotations: [n, 3, 3] blended skinning rotations, rest pose to world.
        camera: the photograph's.
    """

    vertices: Float32[NDArray[np.float32], "n 3"]
    normals: Float32[NDArray[np.float32], "n 3"]
    pixels: Float32[NDArray[np.float32], "n 3"]
    facing: Float32[NDArray[np.float32], " n"]
    fragments: MeshFragments
    rotations: Float32[NDArray[np.float32], "n 3 3"]
    camera: Camera

    @property
    def eye(self) -> Float32[NDArray[np.float32], "3"]:
        """The camera's centre, world metres [3]."""
        matrix = self.camera.world_to_camera.numpy()
        return (-matrix[:3, :3].T @ matrix[:3, 3]).astype(np.float32)

    def visible(self, pixels: Float32[NDArray[np.float32], "*n 3"]) -> Bool[NDArray[np.bool_], "*n"]:
        """Mask of points [..., 3] (x, y, depth) that lie on the nearest surface."""
        depth = sample_nearest(self.fragments.depth, pixels[..., :2], outside=-1.0)
        return np.abs(np.where(np.isfinite(depth), depth, -1) - pixels[..., 2]) < _VISIBLE_WITHIN_M

    def metres_per_pixel(self, at: Float32[NDArray[np.float32], "3"]) -> float:
        """Size of a pixel at a world point [3]."""
        depth = float(project_vertices(at[None], self.camera)[0, 2])
        return depth / float(self.camera.intrinsics[0, 0])


def take_own_pose(
    surface: HeadSurface, head: HeadParameters, camera: Camera, displacement: Float32[NDArray[np.float32], "n 3"]
) -> OwnPose:
    """Pose of the drawn mesh with a rest-pose displacement [n, 3] (hair volume and the like) on top."""
    posed = pose_head(surface.model, head)
    blended = blend_transforms(posed.transforms, torch.from_numpy(surface.weights))
    rotations = blended[:, :3, :3].numpy()
    vertices = surface.mixture @ posed.vertices.numpy() + np.einsum("nij,nj->ni", rotations, displacement)
    return _seen(surface, vertices.astype(np.float32), rotations, camera)


def moved(surface: HeadSurface, pose: OwnPose, vertices: Float[NDArray[np.float32], "n 3"]) -> OwnPose:
    """Pose with other vertex positions."""
    return _seen(surface, vertices.astype(np.float32), pose.rotations, pose.camera)


def _seen(
    surface: HeadSurface, vertices: NDArray[np.float32], rotations: NDArray[np.float32], camera: Camera
) -> OwnPose:
    pixels = project_vertices(vertices, camera)
    matrix = camera.world_to_camera.numpy()
    view = -matrix[:3, :3].T @ matrix[:3, 3] - vertices
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    normals = vertex_normals(vertices, surface.faces)
    return OwnPose(
        vertices=vertices,
        normals=normals,
        pixels=pixels,
        facing=(normals * view).sum(1).astype(np.float32),
        fragments=rasterize_mesh(pixels, surface.faces, camera.width, camera.height),
        rotations=rotations,
        camera=camera,
    )


def sample_nearest(
    image: Float32[NDArray[np.float32], "h w"], xy: Float32[NDArray[np.float32], "*n 2"], outside: float
) -> Float32[NDArray[np.float32], "*n"]:
    """Values of an image [h, w] at pixel positions [..., 2] (pixel centres at half-integers)."""
    column, row = np.floor(xy[..., 0]).astype(np.int64), np.floor(xy[..., 1]).astype(np.int64)
    inside = (column >= 0) & (column < image.shape[1]) & (row >= 0) & (row < image.shape[0])
    value = image[np.clip(row, 0, image.shape[0] - 1), np.clip(column, 0, image.shape[1] - 1)]
    return np.where(inside, value, np.float32(outside))


def sample(
    image: Float32[NDArray[np.float32], "h w *c"], xy: Float32[NDArray[np.float32], "*n 2"], *, sharp: bool = False
) -> Float32[NDArray[np.float32], "..."]:
    """Values of an image [h, w] or [h, w, c] at positions [h', w', 2] or [n, 2], interpolated; the border is repeated.

    Args:
        sharp: bicubic instead of bilinear.
    """
    positions = np.asarray(xy, np.float32)
    if positions.ndim == 2:  # OpenCV's remap takes at most 2¹⁵ columns
        rows = -(-len(positions) // _COLUMNS) or 1
        columns = -(-len(positions) // rows)
        grid = np.resize(positions, (rows, columns, 2))
        return sample(image, grid, sharp=sharp).reshape(rows * columns, *image.shape[2:])[: len(positions)]
    out = cv2.remap(
        image,
        np.ascontiguousarray(positions[..., 0] - 0.5),
        np.ascontiguousarray(positions[..., 1] - 0.5),
        cv2.INTER_CUBIC if sharp else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(out, np.float32)
