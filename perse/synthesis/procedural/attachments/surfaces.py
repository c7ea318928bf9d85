"""Grid surfaces and their way into an `Attachment`: domes over the skull, lathed and swept shapes.

Everything is made of grids of points, rows × columns, because normals, texture coordinates and triangles follow from
a grid by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int64, UInt8
from scipy.ndimage import gaussian_filter

from perse.attributes import Part
from perse.data import Attachment, Sheet


@dataclass(frozen=True)
class Surface:
    """A grid of points.

    Attributes:
        points: [r, c, 3], metres; strands, where there are any, run along the rows' axis.
        uvs: [r, c, 2]; u may exceed 1 (it wraps), v stays within [0, 1].
        inner: [3] or [r, c, 3]; normals point away from it.
        shade: [r, c], baked ambient shading.
        place, turns, root: what it is of the thing, how far around it goes, what it hangs from (see `Sheet`).
    """

    points: Float[np.ndarray, "r c 3"]
    uvs: Float[np.ndarray, "r c 2"]
    inner: Float[np.ndarray, "... 3"]
    shade: Float[np.ndarray, "r c"]
    place: str = ""
    turns: tuple[float, float] = (-0.5, 0.5)
    root: Float[np.ndarray, "3"] | None = None

    def shaded(self, factor: Float[np.ndarray, "..."] | float) -> Surface:
        """The same surface, darker: a lining, the underside of a brim."""
        return replace(self, shade=self.shade * factor)

    def at(self, place: str, *, turns: float = 1.0, root: Float[np.ndarray, "3"] | None = None) -> Surface:
        """The same surface, and what it is of the thing; `turns` of one go around the middle of the front."""
        return replace(self, place=place, turns=(-0.5 * turns, 0.5 * turns), root=root)

    @property
    def sheet(self) -> Sheet:
        """Sheet in an attachment's record: what is kept of the surface."""
        rows, columns = self.points.shape[:2]
        root = None if self.root is None else (float(self.root[0]), float(self.root[1]), float(self.root[2]))
        return Sheet(self.place, rows, columns, self.turns, root)


@dataclass(frozen=True, kw_only=True)
class Finish:
    """Reflection of light by a material."""

    gloss: float = 0.0
    """Strength of the highlight, 0 (cloth) to 1 (polished metal)."""
    exponent: float = 24.0
    """Sharpness of the highlight."""


def surface(
    points: Float[np.ndarray, "r c 3"],
    inner: Float[np.ndarray, "... 3"],
    *,
    repeat_u: float = 1.0,
    v_range: tuple[float, float] = (0.0, 1.0),
) -> Surface:
    """A grid with texture coordinates that run evenly: u `repeat_u` times around, v from row to row."""
    rows, columns = points.shape[:2]
    u = np.broadcast_to(np.linspace(0, repeat_u, columns)[None], (rows, columns))
    v = np.broadcast_to(np.linspace(*v_range, rows)[:, None], (rows, columns))
    return Surface(points, np.stack([u, v], -1), np.asarray(inner, float), np.ones((rows, columns)))


def smoothed_around(values: Float[np.ndarray, "*r c"], around: float, along: float = 0.0) -> Float[np.ndarray, "*r c"]:
    """Values [c] or [r, c] of a closed grid, whose last column is its first, blurred by so many columns and rows."""
    modes = ("nearest", "wrap")[-values.ndim :]
    smooth = gaussian_filter(values[..., :-1], (along, around)[-values.ndim :], mode=modes)
    return np.concatenate([smooth, smooth[..., :1]], -1)


def lathe(
    base: Float[np.ndarray, "3"],
    axis: Float[np.ndarray, "3"],
    profile: Sequence[tuple[float, float]],
    *,
    segments: int = 40,
    stretch: tuple[float, float] = (1.0, 1.0),
    upright: Float[np.ndarray, "3"] | None = None,
    repeat_u: float = 1.0,
    unit_m: float = 1.0,
) -> Surface:
    """Surface of a profile turned round an axis.

    Args:
        base: [3], where the axis starts. axis: [3].
        profile: pairs (distance along the axis, radius), in `unit_m` metres.
        stretch: factors of the two directions across the axis; the second is the one nearest to `upright`.
    """
    axis = unit(np.asarray(axis, float))
    upright = np.array([0.0, 1.0, 0.0]) if upright is None else upright
    across = unit(np.cross(upright, axis))
    along = np.cross(axis, across)
    turn = np.linspace(0, 2 * np.pi, segments + 1)
    circle = stretch[0] * np.cos(turn)[:, None] * across + stretch[1] * np.sin(turn)[:, None] * along
    distance, radius = np.array(profile, float).T * unit_m
    points = base + distance[:, None, None] * axis + radius[:, None, None] * circle
    inner = base + axis * (distance.max() + distance.min()) / 2
    return surface(points, inner, repeat_u=repeat_u)


def ball(
    centre: Float[np.ndarray, "3"], radii: tuple[float, float, float], *, rings: int = 14, segments: int = 24
) -> Surface:
    """An ellipsoid with half axes along x, y, z."""
    polar = np.linspace(0, np.pi, rings)[:, None]
    turn = np.linspace(0, 2 * np.pi, segments + 1)[None]
    points = np.stack([np.sin(polar) * np.cos(turn), np.cos(polar) + 0 * turn, np.sin(polar) * np.sin(turn)], -1)
    return surface(centre + points * np.array(radii), centre, repeat_u=2.0)


def sweep(
    path: Float[np.ndarray, "n 3"],
    wide: Float[np.ndarray, "... 3"],
    thick: Float[np.ndarray, "... 3"],
    half_width: Float[np.ndarray, " n"] | float,
    half_thickness: Float[np.ndarray, " n"] | float,
    *,
    segments: int = 16,
    roundness: float = 0.6,
    repeat_u: float = 1.0,
) -> Surface:
    """A bar with a rounded rectangular section along a path.

    Args:
        path: [n, 3]. wide, thick: [n, 3] or [3] unit axes of the section.
        half_width, half_thickness: metres, one or [n].
        roundness: 1 is an ellipse, towards 0 the section becomes a rectangle.
    """
    turn = np.linspace(0, 2 * np.pi, segments + 1)
    cosine = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** roundness
    sine = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** roundness
    wide = np.broadcast_to(wide, path.shape) * np.broadcast_to(half_width, len(path))[:, None]
    thick = np.broadcast_to(thick, path.shape) * np.broadcast_to(half_thickness, len(path))[:, None]
    points = path[:, None] + wide[:, None] * cosine[None, :, None] + thick[:, None] * sine[None, :, None]
    return surface(points, np.repeat(path[:, None], segments + 1, 1), repeat_u=repeat_u)


def tube(
    path: Float[np.ndarray, "n 3"],
    radius: Float[np.ndarray, " n"] | float,
    *,
    segments: int = 10,
    repeat_u: float = 1.0,
) -> Surface:
    """A round wire along a path [n, 3]; a path that ends where it starts makes a ring."""
    tangent = unit(np.gradient(path, axis=0))
    closed = np.allclose(path[0], path[-1])
    if closed:
        tangent[0] = tangent[-1] = unit(path[1] - path[-2])
    side = np.zeros_like(path)
    reference = unit(np.cross(tangent[0], tangent[len(path) // 3]) + 1e-6)
    for index, forward in enumerate(tangent):  # carry the frame along, so that it does not twist
        reference = unit(reference - forward * (reference @ forward))
        side[index] = reference
    if closed:
        side[-1] = side[0]
    return sweep(
        path, side, np.cross(tangent, side), radius, radius, segments=segments, roundness=1.0, repeat_u=repeat_u
    )


def ring(
    centre: Float[np.ndarray, "3"],
    normal: Float[np.ndarray, "3"],
    radius: float,
    *,
    stretch: float = 1.0,
    steps: int = 48,
) -> Float[np.ndarray, "{steps}+1 3"]:
    """A closed circle [steps + 1, 3] that starts at its highest point; `stretch` lengthens it downwards."""
    normal = unit(np.asarray(normal, float))
    up = unit(np.array([0.0, 1.0, 0.0]) - normal * normal[1])
    across = np.cross(up, normal)
    turn = np.linspace(0, 2 * np.pi, steps + 1)[:, None]
    return centre + radius * (np.sin(turn) * across + stretch * np.cos(turn) * up)


def join(
    name: str,
    part: Part,
    pieces: Sequence[Surface],
    texture: UInt8[np.ndarray, "h w 4"],
    finish: Finish | None = None,
    *,
    casts_shadow: bool = True,
) -> Attachment:
    """Attachment of surfaces that share a texture and a finish, rigid with the head."""
    finish = finish or Finish()
    vertices, normals, tangents, faces, uvs, shade = [], [], [], [], [], []
    start = 0
    for piece in pieces:
        normal, along = _frames(piece)
        rows, columns = piece.points.shape[:2]
        vertices.append(piece.points.reshape(-1, 3))
        normals.append(normal.reshape(-1, 3))
        tangents.append(along.reshape(-1, 3))
        uvs.append(piece.uvs.reshape(-1, 2))
        shade.append(piece.shade.ravel())
        faces.append(_oriented(grid_faces(rows, columns), vertices[-1], normals[-1]) + start)
        start += rows * columns
    return Attachment(
        name=name,
        part=part,
        vertices=np.concatenate(vertices).astype(np.float32),
        normals=np.concatenate(normals).astype(np.float32),
        tangents=np.concatenate(tangents).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        uvs=np.concatenate(uvs).astype(np.float32),
        texture=texture,
        head_weight=np.ones(start, np.float32),
        occlusion=np.clip(np.concatenate(shade), 0, 1).astype(np.float32),
        gloss=finish.gloss,
        gloss_exponent=finish.exponent,
        casts_shadow=casts_shadow,
        sheets=tuple(piece.sheet for piece in pieces),
    )


def unit(vectors: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Unit vectors of vectors [..., 3]."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _frames(piece: Surface) -> tuple[Float[np.ndarray, "r c 3"], Float[np.ndarray, "r c 3"]]:
    """Outward normals and the direction along the columns, [r, c, 3] each."""
    along, across = np.gradient(piece.points, axis=0), np.gradient(piece.points, axis=1)
    if np.allclose(piece.points[:, 0], piece.points[:, -1], atol=1e-7):
        across[:, 0] = across[:, -1] = piece.points[:, 1] - piece.points[:, -2]
    for row, inward in ((0, 1), (-1, -2)):  # at a pole the row is one point: borrow its neighbour's direction
        if np.ptp(piece.points[row], axis=0).max() < 1e-7:
            across[row] = across[inward]
    normal = unit(np.cross(along, across))
    outward = ((piece.points - piece.inner) * normal).sum(-1)
    # One vote for the whole sheet: single points of a curled rim may well look inwards.
    return normal * np.sign(outward.sum() + 1e-12), unit(along)


def grid_faces(rows: int, columns: int) -> Int64[np.ndarray, "t 3"]:
    """Triangles of a grid of nodes, two for each cell, row by row."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    return np.concatenate([np.stack([a, d, c], 1), np.stack([a, c, b], 1)])


def _oriented(
    faces: Int64[np.ndarray, "t 3"], vertices: Float[np.ndarray, "v 3"], normals: Float[np.ndarray, "v 3"]
) -> Int64[np.ndarray, "kept 3"]:
    """Counter-clockwise seen from where the normals point; collapsed triangles (at poles) are dropped."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    keep = np.linalg.norm(cross, axis=1) > 1e-14
    flipped = (cross * normals[faces].sum(1)).sum(1) < 0
    return np.where(flipped[:, None], faces[:, ::-1], faces)[keep]
