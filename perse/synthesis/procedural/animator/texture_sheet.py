"""Texture of the whole head: the atlas of the outer skin, with the maps of eyes and mouth beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from numpy.typing import NDArray

from perse.attributes import Part
from perse.synthesis.procedural.animator.fill import blurred_within
from perse.synthesis.procedural.animator.skin_and_hair import PaintedAtlas
from perse.synthesis.procedural.animator.surface import HeadSurface, TriangleKind


@dataclass(frozen=True)
class Patch:
    """Texture of its own for some triangles.

    Attributes:
        rgb: [h, w, 3] float32.
        chosen: [t'] triangles; corner_uvs: [t', 3, 2] pixels of the patch.
        part: their label.
    """

    rgb: Float32[NDArray[np.float32], "h w 3"]
    chosen: Int64[NDArray[np.int64], " t"]
    corner_uvs: Float32[NDArray[np.float32], "t 3 2"]
    part: Part


def flat_patch(
    surface: HeadSurface,
    kind: TriangleKind,
    color: tuple[float, float, float],
    part: Part,
    among: Bool[NDArray[np.bool_], " n"] | None = None,
) -> Patch:
    """A patch of one colour for the triangles of a kind: all of them, or those in `among` [t]."""
    chosen = np.nonzero((surface.kinds == kind) & (True if among is None else among))[0]
    return Patch(np.full((8, 8, 3), color, np.float32), chosen, np.full((len(chosen), 3, 2), 4, np.float32), part)


@dataclass(frozen=True)
class TextureSheet:
    """See `LiftedPortrait` for the arrays."""

    texture: UInt8[NDArray[np.uint8], "h w 4"]
    dressed: UInt8[NDArray[np.uint8], "h w"]
    rim: UInt8[NDArray[np.uint8], "h w"]
    labels: UInt8[NDArray[np.uint8], "h w"]
    corner_uvs: Float32[NDArray[np.float32], "t 3 2"]


def assemble(surface: HeadSurface, atlas: PaintedAtlas, patches: list[Patch]) -> TextureSheet:
    """Put the atlas to the left and the patches in a column to its right."""
    height, width = surface.atlas_size
    column = max(patch.rgb.shape[1] for patch in patches) + 4
    tall = max(height, sum(patch.rgb.shape[0] + 4 for patch in patches))
    texture = np.zeros((tall, width + column, 4), np.uint8)
    texture[..., 3] = 255
    rim = np.full(texture.shape[:2], 255, np.uint8)
    labels = np.full(texture.shape[:2], Part.SKIN, np.uint8)
    texture[:height, :width, :3] = _bytes(_bled(surface, atlas.rgb))
    inside = surface.atlas.face >= 0
    texture[:height, :width, 3] = _bytes(255 * _bled(surface, np.where(inside, atlas.alpha, 1)[..., None])[..., 0])
    dressed = np.zeros_like(rim)
    dressed[:height, :width] = _bytes(255 * _bled(surface, np.where(inside, atlas.dressed, 0)[..., None])[..., 0])
    rim[:height, :width] = _bytes(255 * atlas.rim)
    labels[:height, :width] = atlas.labels
    uvs = surface.corner_uvs.copy()
    top = 2
    for patch in patches:
        h, w = patch.rgb.shape[:2]
        rows, columns = slice(top, top + h), slice(width + 2, width + 2 + w)
        texture[rows, columns, :3] = _bytes(patch.rgb)
        labels[rows, columns] = patch.part
        uvs[patch.chosen] = patch.corner_uvs + np.array([width + 2, top], np.float32)
        top += h + 4
    return TextureSheet(texture, dressed, rim, labels, uvs)


def _bled(surface: HeadSurface, values: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w c"]:
    """Colours continued a few texels beyond the charts, so that interpolation never meets their surroundings."""
    inside = (surface.atlas.face >= 0).astype(np.float32)
    mean, _ = blurred_within(values, inside, sigma_px=2.0)
    return np.where(inside[..., None] > 0, values, mean.reshape(values.shape))


def _bytes(values: Float32[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
