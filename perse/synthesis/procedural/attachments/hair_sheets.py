"""Surfaces spanned by strands, and their way into a hair `Attachment`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter1d

from perse.attributes import Part
from perse.data import Attachment
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.surfaces import Finish, Surface, join, unit


@dataclass(frozen=True, kw_only=True)
class HairFinish:
    """Reflection of light by a layer of hair."""

    anisotropy: float
    """Strength of the strand highlight, a fraction of white."""
    gloss: float = 0.0
    """Strength of the isotropic highlight: the sparkle of curls."""
    exponent: float = 46.0
    """Sharpness of either highlight."""
    casts_shadow: bool = True
    """Only one layer should: those above it would darken the same places again."""


def hair_attachment(
    name: str, sheets: Sequence[Surface], texture: UInt8[np.ndarray, "h w 4"], scalp: Scalp, finish: HairFinish
) -> Attachment:
    """Sheets on the average head that share a texture, as one attachment on the person's head."""
    material = Finish(gloss=finish.gloss, exponent=finish.exponent)
    placed = [sheet.at(name) for sheet in sheets]
    mesh = join(name, Part.HAIR, placed, texture, material, casts_shadow=finish.casts_shadow)
    return replace(
        mesh,
        vertices=scalp.to_head(mesh.vertices.astype(float)),
        head_weight=scalp.head_weight(mesh.vertices.astype(float)),
        anisotropy=finish.anisotropy,
    )


def ribbon(
    path: Float[np.ndarray, "r 3"],
    half: Float[np.ndarray, "r 3"],
    inner: Float[np.ndarray, "r 3"],
    u: tuple[float, float],
    v: Float[np.ndarray, "r 1"],
    shade: Float[np.ndarray, "r 1"],
) -> Surface:
    """Narrow strip along a path [r, 3]: a lock, a coil.

    Args:
        half: [r, 3] from the path to one edge.
        inner: [r, 3] what it turns away from.
        u: of both edges; v, shade: [r, 1].
    """
    points = path[:, None] + half[:, None] * np.array([-1.0, 1.0])[None, :, None]
    shape = points.shape[:2]
    uvs = np.stack([np.broadcast_to(np.array(u), shape), np.broadcast_to(v, shape)], -1)
    return Surface(points, uvs, np.broadcast_to(inner[:, None], points.shape), np.broadcast_to(shade, shape))


def lifted(sheet: Surface, height: Float[np.ndarray, "r c"] | float) -> Surface:
    """The sheet moved outwards by `height` metres, one or [rows, columns]."""
    height = np.broadcast_to(height, sheet.points.shape[:2])
    return replace(sheet, points=sheet.points + outward(sheet) * height[..., None])


def outward(sheet: Surface) -> Float[np.ndarray, "r c 3"]:
    """Unit directions away from the sheet's inside: [rows, columns, 3]."""
    return unit(sheet.points - sheet.inner)


def resampled(
    points: Float[np.ndarray, "r c 3"], rows: int
) -> tuple[Float[np.ndarray, "{rows} c 3"], Float[np.ndarray, "{rows} c"]]:
    """Strands [r, c, 3] at `rows` points of equal arc length, and the arc length [rows, c] in metres."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    arc = np.concatenate([np.zeros((1, points.shape[1])), np.cumsum(steps, 0)])
    even = np.empty((rows, points.shape[1], 3))
    where = np.linspace(0, 1, rows)
    for column in range(points.shape[1]):
        for axis in range(3):
            even[:, column, axis] = np.interp(where * arc[-1, column], arc[:, column], points[:, column, axis])
    return even, where[:, None] * arc[-1][None]


def smoothed_along(points: Float[np.ndarray, "r c 3"], sigma: float) -> Float[np.ndarray, "r c 3"]:
    """Strands smoothed from root to tip, both ends kept where they are."""
    smooth = gaussian_filter1d(points, sigma, axis=0, mode="nearest")
    row = np.arange(len(points), dtype=float)
    keep = np.clip(np.minimum(row, row[::-1]) / (2 * sigma), 0, 1)[:, None, None]
    return points * (1 - keep) + smooth * keep
