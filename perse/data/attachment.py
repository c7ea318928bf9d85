"""Attachment: a 3D thing that an edit puts on the head, such as a hat, headphones, an earring or a shell of hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from perse.attributes import Part


@dataclass(frozen=True)
class Sheet:
    """A part of a mesh that is a grid of vertices, row by row.

    Attributes:
        place: what it is of the thing, such as "crown" or "left cup": what two things have at one place corresponds.
        rows, columns: of the grid.
        turns: where around the head (or around the thing) its first and last column are, in turns: (-0.5, 0.5) is once
            around, and a cap's visor, which is at the front alone, spans less.
        root: the point in rest pose, metres, that it hangs from; None for what is fixed along its first row.
    """

    place: str
    rows: int
    columns: int
    turns: tuple[float, float] = (-0.5, 0.5)
    root: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Attachment:
    """A textured triangle mesh in the rest pose of the fitted head (its world space before skinning, metres).

    Attributes:
        name: for people, such as "beanie dome" or "hair shell 2".
        part: the part its pixels are labelled with.
        vertices: [v, 3] float32.
        normals: [v, 3] float32, unit.
        tangents: [v, 3] float32, unit; direction of hair strands (any direction where `anisotropy` is 0).
        faces: [t, 3] int32; drawn from both sides.
        uvs: [v, 2] float32; u wraps around, v is clamped to [0, 1].
        texture: [h, w, 4] uint8 RGBA, straight alpha: albedo before lighting; alpha is blended.
        head_weight: [v] float32 in [0, 1]; 1 follows the neck joint, 0 stays with the body (ends of long hair).
        occlusion: [v] float32 in [0, 1]; baked ambient shading.
        gloss, gloss_exponent: strength and exponent of the isotropic highlight.
        anisotropy: strength of the strand highlight along `tangents` (Kajiya–Kay).
        casts_shadow: whether it darkens head and other attachments.
        sheets: the grids that its vertices form, in their order; empty where they form none, or none is known.
    """

    name: str
    part: Part
    vertices: Float32[np.ndarray, "v 3"]
    normals: Float32[np.ndarray, "v 3"]
    tangents: Float32[np.ndarray, "v 3"]
    faces: Int32[np.ndarray, "t 3"]
    uvs: Float32[np.ndarray, "v 2"]
    texture: UInt8[np.ndarray, "h w 4"]
    head_weight: Float32[np.ndarray, " v"]
    occlusion: Float32[np.ndarray, " v"]
    gloss: float = 0.0
    gloss_exponent: float = 30.0
    anisotropy: float = 0.0
    casts_shadow: bool = True
    sheets: tuple[Sheet, ...] = ()

    def __post_init__(self) -> None:
        held = sum(sheet.rows * sheet.columns for sheet in self.sheets)
        if self.sheets and held != len(self.vertices):
            raise ValueError(f"the sheets of {self.name} hold {held} vertices, the mesh has {len(self.vertices)}")
