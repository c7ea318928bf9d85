"""Drawing a dressed surface: colours, alpha, depth, normals and parts of one frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int8, UInt8
from numpy.typing import NDArray
from torch import Tensor

from perse.body.animation.dressed import DressedPerson
from perse.body.model.covers import Cover
from perse.body.model.upsampling import unit_normals
from perse.geometry import Camera
from perse.render import MeshFragments, project_vertices, rasterize_mesh
from perse.shapes import HardMask

SUPERSAMPLING = 2


@dataclass(frozen=True)
class DrawnBody:
    """One picture of a body, on white, with what a renderer knows besides.

    Attributes:
        image: [h, w, 3] uint8.
        alpha: [h, w] uint8.
        depth: [h, w] float32, camera z in metres; 0 where nobody is.
        normals: [h, w, 3] int8, 127 is one, camera axes; 0 where nobody is.
        parts: [h, w] uint8, values of `Cover`.
        hands: [h, w] bool.
    """

    image: UInt8[NDArray[np.uint8], "h w 3"]
    alpha: UInt8[NDArray[np.uint8], "h w"]
    depth: Float32[NDArray[np.float32], "h w"]
    normals: Int8[NDArray[np.int8], "h w 3"]
    parts: UInt8[NDArray[np.uint8], "h w"]
    hands: Bool[NDArray[np.bool_], "h w"]


def draw_person(person: DressedPerson, points: Float[Tensor, "n 3"], camera: Camera) -> DrawnBody:
    """A frame of posed points [n, 3]."""
    large = camera.resized(camera.width * SUPERSAMPLING, camera.height * SUPERSAMPLING)
    faces = person.fine.faces.astype(np.int32)
    fragments = rasterize_mesh(project_vertices(points.numpy(), large), faces, large.width, large.height)
    inside = fragments.face >= 0
    normals = unit_normals(points, person.faces) @ camera.world_to_camera[:3, :3].T
    packed = torch.cat([person.photo_px, person.seen[:, None], person.fill, normals], 1).numpy()
    values = fragments.interpolate(faces, packed)
    colors = _colors(person.photograph, values)
    small = (camera.width, camera.height)
    alpha = np.asarray(cv2.resize(inside.astype(np.float32), small, interpolation=cv2.INTER_AREA))
    image = np.asarray(cv2.resize(np.where(inside[..., None], colors, 1.0), small, interpolation=cv2.INTER_AREA))
    # What cannot be averaged is taken at one of the pixel's samples, a covered one if there is any.
    row, column = _sample(inside)
    shown = fragments.face[row, column] >= 0
    normal = values[row, column, 6:9]
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    corner = _strongest_corner(fragments, faces, row, column)
    return DrawnBody(
        image=np.round(255 * np.clip(image, 0, 1)).astype(np.uint8),
        alpha=np.round(255 * alpha).astype(np.uint8),
        depth=np.where(shown, fragments.depth[row, column], 0).astype(np.float32),
        normals=np.round(127 * normal * shown[..., None]).astype(np.int8),
        parts=np.where(shown, person.covers.numpy()[corner], Cover.BACKGROUND).astype(np.uint8),
        hands=shown & person.hands.numpy()[corner],
    )


def drawn_points(
    person: DressedPerson, points: Float[Tensor, "n 3"], camera: Camera, chosen: Bool[Tensor, " n"]
) -> HardMask:
    """Mask [h, w] of pixels whose nearest posed point of [n, 3] is one of the chosen ones [n]."""
    faces = person.fine.faces.astype(np.int32)
    fragments = rasterize_mesh(project_vertices(points.numpy(), camera), faces, camera.width, camera.height)
    row, column = np.mgrid[: camera.height, : camera.width]
    return np.asarray((fragments.face >= 0) & chosen.numpy()[_strongest_corner(fragments, faces, row, column)])


def _colors(photograph: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    # cv2.remap counts pixel indices; our pixel centres stand at index + 0.5.
    across, down = values[..., 0] - np.float32(0.5), values[..., 1] - np.float32(0.5)
    sampled = cv2.remap(photograph, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = values[..., 2:3]
    return np.asarray(seen * sampled + (1 - seen) * values[..., 3:6], np.float32)


def _sample(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column, in the large picture, of one sample of each pixel."""
    s = SUPERSAMPLING
    h, w = inside.shape[0] // s, inside.shape[1] // s
    blocks = inside.reshape(h, s, w, s).transpose(0, 2, 1, 3).reshape(h, w, s * s)
    chosen = blocks.argmax(-1)
    row, column = np.mgrid[:h, :w]
    return row * s + chosen // s, column * s + chosen % s


def _strongest_corner(
    fragments: MeshFragments, faces: NDArray[np.int32], row: NDArray[np.int64], column: NDArray[np.int64]
) -> NDArray[np.int32]:
    weights = fragments.weights[row, column].argmax(-1)
    return np.asarray(faces[np.maximum(fragments.face[row, column], 0), weights])
