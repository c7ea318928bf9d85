"""Grids of nodes that carry a texture: the sheets, curtains and spectacles that the animator hangs on the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import Attachment
from perse.shapes import Colors, Field
from perse.synthesis.procedural.attachments.surfaces import grid_faces


@dataclass(frozen=True)
class PictureGrid:
    """The part of a picture where something is seen, as a grid.

    Attributes:
        nodes: [rows, columns, 2] pixels of the picture.
        uvs: [rows, columns, 2] in the texture.
        texture: [h, w, 4] float32, 0…255.
    """

    nodes: Float64[NDArray[np.float64], "rows columns 2"]
    uvs: Float64[NDArray[np.float64], "rows columns 2"]
    texture: Float32[NDArray[np.float32], "h w 4"]


def picture_grid(rgb: Colors, alpha: Field, cell_px: int, aside_px: int = 0) -> PictureGrid:
    """A grid over all that is seen of a picture.

    Args:
        rgb: [h, w, 3], 0…255; alpha: [h, w] in [0, 1].
        cell_px: about the size of a cell.
        aside_px: clear columns on either side, which the picture must have: u wraps around.
    """
    rows, columns = np.nonzero(alpha > 0.02)
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()) - aside_px, int(columns.max()) + 1 + aside_px
    x = np.linspace(left, right, max(2, (right - left) // cell_px + 1))
    y = np.linspace(top, bottom, max(2, (bottom - top) // cell_px + 1))
    nodes = np.stack(np.meshgrid(x, y), -1)
    uvs = (nodes - [left, top]) / [right - left, bottom - top]
    uvs[..., 0] = np.clip(uvs[..., 0], 1e-4, 1 - 1e-4)  # u wraps around
    texture = np.concatenate([rgb, 255 * alpha[..., None]], -1)[top:bottom, left:right]
    return PictureGrid(nodes, uvs, texture)


def grid_attachment(
    name: str,
    part: Part,
    vertices: Float[NDArray[np.floating], "r c 3"],
    weight: Float[NDArray[np.floating], "r c"],
    uvs: Float[NDArray[np.floating], "r c 2"],
    texture: Float[NDArray[np.floating], "h w 4"],
    normal: Float[NDArray[np.floating], "3"],
) -> Attachment:
    """An attachment of one normal that casts no shadow.

    Args:
        vertices: [rows, columns, 3] metres, rest pose; weight: [rows, columns], how far each follows the head.
        uvs: [rows, columns, 2]; texture: [h, w, 4], 0…255; normal: [3], rest pose, of length one.
    """
    rows, columns = vertices.shape[:2]
    n = rows * columns
    return Attachment(
        name=name,
        part=part,
        vertices=vertices.reshape(n, 3).astype(np.float32),
        normals=np.repeat(normal[None], n, 0).astype(np.float32),
        tangents=np.repeat(np.array([[0, -1, 0]], np.float32), n, 0),
        faces=grid_faces(rows, columns).astype(np.int32),
        uvs=uvs.reshape(n, 2).astype(np.float32),
        texture=np.clip(np.round(texture), 0, 255).astype(np.uint8),
        head_weight=weight.ravel().astype(np.float32),
        occlusion=np.ones(n, np.float32),
        casts_shadow=False,
    )
