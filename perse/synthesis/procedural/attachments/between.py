"""Shapes between two things that are worn: a beanie grows into a top hat, in three dimensions.

Things are made of sheets, grids of vertices, and a sheet says what it is of the thing (`perse.data.Sheet.place`). Two
sheets of one place correspond: row by row if they have as many, else by arc length, and across the rows by the turn
around the head. On the way from one to the other every vertex travels along a straight line, so a profile's radii, a
brim's width, a band's height and the tilt of a rim are what lies between those of the ends. Colours, patterns and
light are blended where they are on the sheet, not where they are in a picture: a stripe stays on its hat.

What only one of the two has grows out of the other, and takes its colour from there: a brim along its first row out of
the rim, hair out of the scalp, an earring's wire out of the lobe that it hangs from. The largest of what hangs there
on both sides becomes each other, whatever it is (`ring_reading`): a hoop closes into a drop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float64, Int8
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perse.attributes import Part
from perse.data import Attachment
from perse.synthesis.procedural.attachments.grids import NORMAL, POINT, SHADE, TANGENT, UV, WEIGHT, Grid, grids_by_place
from perse.synthesis.procedural.attachments.ring_reading import in_one_form, is_ring, meetings
from perse.synthesis.procedural.attachments.surfaces import grid_faces, unit
from perse.synthesis.procedural.attachments.textures import Texture
from perse.synthesis.procedural.scene import PreparedAttachments, prepare_attachments

Ends = tuple[Attachment, Attachment]
"""One sheet as the first and as the second thing have it: the same grid and chart."""


@dataclass(frozen=True)
class Between:
    """Way from one attachment to another.

    Attributes:
        first, second: both, with the same triangles and the same layout of textures.
        solid: [v], of vertices that grow out of a point: +1 if the second thing has them, −1 if the first, else 0.
    """

    first: PreparedAttachments
    second: PreparedAttachments
    solid: Int8[NDArray[np.int8], " v"]

    @classmethod
    def of(cls, first: Sequence[Attachment], second: Sequence[Attachment]) -> Between | None:
        """Way between two things; None where one is nothing, or has vertices that are no sheets."""
        if not first or not second or not all(item.sheets for item in (*first, *second)):
            return None
        pieces = list(_pieces(grids_by_place(first), grids_by_place(second)))
        known, last = (prepare_attachments([piece.ends[end] for piece in pieces]) for end in (0, 1))
        as_last = np.array([piece.sided_as_last for piece in pieces])
        winding = np.where(as_last[last.owner], last.winding, known.winding)
        solid = np.concatenate([np.full(len(piece.ends[0].vertices), piece.solid, np.int8) for piece in pieces])
        return cls(replace(known, winding=winding), last, solid)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.first.bytes + self.second.bytes + self.solid.nbytes

    def at(self, position: float) -> PreparedAttachments:
        """Things that are worn at a position in [0, 1], between the first (0) and the second (1)."""
        first, second, t = self.first, self.second, position
        # What grows in all directions shows an area that grows evenly.
        pace = np.where(self.solid > 0, t**0.5, np.where(self.solid < 0, 1 - (1 - t) ** 0.5, t)).astype(np.float32)

        def mixed(name: str, share: NDArray[np.float32] | float = t) -> NDArray[np.float32]:
            one, other = getattr(first, name), getattr(second, name)
            return np.asarray(one + share * (other - one), np.float32)

        return replace(
            first,
            vertices=mixed("vertices", pace[:, None]),
            normals=unit(mixed("normals")),
            tangents=unit(mixed("tangents")),
            head_weight=mixed("head_weight"),
            occlusion=mixed("occlusion"),
            gloss=mixed("gloss"),
            gloss_exponent=mixed("gloss_exponent"),
            anisotropy=mixed("anisotropy"),
            opaque=first.opaque & second.opaque,
            texels=np.asarray(cv2.addWeighted(first.texels, 1 - t, second.texels, t, 0), np.uint8),
        )


@dataclass(frozen=True)
class _Piece:
    """What travels as one.

    Attributes:
        ends: as it is on the first and on the second thing.
        solid: of all its vertices, see `Between`.
        sided_as_last: whether its triangles' sides are those of the second end; what has no area has no side.
    """

    ends: Ends
    solid: int = 0
    sided_as_last: bool = False


def _pieces(first: dict[str, list[Grid]], second: dict[str, list[Grid]]) -> Iterator[_Piece]:
    """Everything that two things are made of."""
    pairs = [pair for place in first if place in second for pair in _paired(first[place], second[place])]
    alone = _without(first, second), _without(second, first)
    met = list(meetings(*alone))
    alike = [_Piece(_matched(*pair)) for pair in pairs if pair[0].turns == pair[1].turns]
    alike += [_Piece(_matched(*in_one_form(*pair)), sided_as_last=is_ring(pair[1])) for pair in met]
    forth, back = _Carrier.of([piece.ends for piece in alike]), _Carrier.of([piece.ends[::-1] for piece in alike])
    yield from alike
    for pair in pairs:
        if pair[0].turns != pair[1].turns:
            yield _Piece(_matched(*pair, forth if _narrow(pair[1], pair[0]) else back))
    # Beside what becomes another a thing keeps its pace, so that a drop hangs on its wire all the way.
    by_itself = 0 if met else 1
    for grids in _by_owner(alone[0], without=[one for one, _ in met]):
        yield _Piece(_alone(grids, forth), -by_itself if grids[0].root else 0)
    for grids in _by_owner(alone[1], without=[one for _, one in met]):
        yield _Piece(_alone(grids, back)[::-1], by_itself if grids[0].root else 0, sided_as_last=True)


def _matched(first: Grid, second: Grid, carrier: _Carrier | None = None) -> Ends:
    """A sheet that both things have.

    Args:
        carrier: from the one that goes farther around to the other, which has no width where it does not reach.
    """
    alike = len(first.values) == len(second.values)  # of the same profile, most likely: corner goes to corner
    first, second = (replace(grid, by_number=alike) for grid in (first, second))
    grids = first, second
    rows = np.union1d(first.rows, second.rows)
    columns = max(first.columns, second.columns, key=len)
    if carrier is not None:
        columns = np.union1d(first.columns, second.columns)
    values = [grid.sampled(rows, columns) for grid in grids]
    if carrier is not None:
        wide = int(_narrow(first, second))
        low, high = grids[1 - wide].turns
        outside = (columns < low) | (columns > high)
        values[1 - wide][:, outside, POINT] = carrier.carried(values[wide][0, outside, POINT])
    sizes = np.array([grid.chart_size() for grid in grids]).max(0)
    size, turns = (int(sizes[0]), int(sizes[1])), (float(columns[0]), float(columns[-1]))
    uvs = _chart_uvs(rows, (columns - turns[0]) / (turns[1] - turns[0]), size)
    for end in values:
        end[..., UV] = uvs
    return (
        _made(values[0], first.owner, first.chart(size, turns)),
        _made(values[1], second.owner, second.chart(size, turns)),
    )


def _alone(grids: Sequence[Grid], carrier: _Carrier) -> Ends:
    """Sheets of one attachment that only one of the things has: as they are there, and vanished into the other.

    Args:
        carrier: from their own thing to the other one.
    """
    owner = grids[0].owner
    texture = carrier.tinted(owner.texture)
    if owner.part is Part.HAIR:
        texture[..., 3] = 0
    whole = _joined([_made(grid.values, owner, owner.texture) for grid in grids])
    places = [_vanished(grid, carrier).reshape(-1, 3) for grid in grids]
    return whole, replace(whole, vertices=np.concatenate(places).astype(np.float32), texture=texture)


def _vanished(grid: Grid, carrier: _Carrier) -> Float[np.ndarray, "r c 3"]:
    """[r, c, 3]: what a sheet grows out of."""
    points = grid.points
    if grid.root is not None:
        return np.broadcast_to(np.asarray(grid.root), points.shape)
    if grid.owner.part is Part.HAIR:
        return carrier.carried(points)
    return np.broadcast_to(carrier.carried(points[0])[None], points.shape)


def _joined(items: Sequence[Attachment]) -> Attachment:
    """Meshes that share a texture, as one."""
    starts = np.cumsum([0, *(len(item.vertices) for item in items[:-1])])
    names = ("vertices", "normals", "tangents", "uvs", "head_weight", "occlusion")
    faces = [item.faces + np.int32(start) for item, start in zip(items, starts, strict=True)]
    together: dict[str, Any] = {name: np.concatenate([getattr(item, name) for item in items]) for name in names}
    return replace(items[0], faces=np.concatenate(faces), **together)


@dataclass(frozen=True)
class _Carrier:
    """From one thing to another, by the sheets that both have.

    Attributes:
        here, there: [n, 3] corresponding points; none where the two have nothing in common.
        color: [3] of the other thing, where it is the largest of what both have; None where they have nothing.
    """

    here: Float64[NDArray[np.float64], "n 3"]
    there: Float64[NDArray[np.float64], "n 3"]
    color: Float64[NDArray[np.float64], "3"] | None

    @classmethod
    def of(cls, matched: Sequence[Ends]) -> _Carrier:
        here, there = (np.concatenate([np.zeros((0, 3)), *(pair[end].vertices for pair in matched)]) for end in (0, 1))
        if not matched:
            return cls(here, there, None)
        largest = max(matched, key=lambda pair: float(np.prod(np.ptp(pair[0].vertices, axis=0) + 1e-3)))
        return cls(here, there, _mean_color(largest[1].texture))

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.here)

    def carried(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Where the places nearest to points [..., 3] are on the other thing; the points themselves without any."""
        return self.there[self._tree.query(points)[1]] if len(self.here) else points

    def tinted(self, texture: Texture) -> Texture:
        """A texture [h, w, 4] in the colour of the other thing; a copy."""
        if self.color is None:
            return texture.copy()
        moved = np.clip(texture[..., :3] + (self.color - _mean_color(texture)), 0, 255)
        return np.dstack([moved, texture[..., 3]]).round().astype(np.uint8)


def _mean_color(texture: Texture) -> Float[np.ndarray, "3"]:
    weight = texture[..., 3:].astype(np.float64)
    return np.asarray((weight * texture[..., :3]).sum((0, 1)) / max(float(weight.sum()), 1.0))


def _paired(first: list[Grid], second: list[Grid]) -> Iterator[tuple[Grid, Grid]]:
    """Sheets of one place in their order; where one thing has more of them, several share one of the other's."""
    count = max(len(first), len(second))
    for number in range(count):
        yield first[number * len(first) // count], second[number * len(second) // count]


def _without(ours: dict[str, list[Grid]], theirs: dict[str, list[Grid]]) -> list[Grid]:
    """Sheets at places that the other thing does not have."""
    return [grid for place, grids in ours.items() if place not in theirs for grid in grids]


def _by_owner(grids: Sequence[Grid], without: Sequence[Grid]) -> list[list[Grid]]:
    """Sheets but for some, those of one attachment together."""
    left: dict[int, list[Grid]] = {}
    for grid in grids:
        if not any(grid is one for one in without):
            left.setdefault(id(grid.owner), []).append(grid)
    return list(left.values())


def _narrow(one: Grid, other: Grid) -> bool:
    """Whether one goes less far around than the other."""
    return one.turns[1] - one.turns[0] < other.turns[1] - other.turns[0]


def _chart_uvs(
    rows: Float[np.ndarray, " r"], columns: Float[np.ndarray, " c"], size: tuple[int, int]
) -> Float[np.ndarray, "r c 2"]:
    """[r, c, 2]: the middles of a chart's outer texels are a sheet's edges, for rows and columns in [0, 1]."""
    v = (0.5 + rows * (size[0] - 1)) / size[0]
    u = (0.5 + columns * (size[1] - 1)) / size[1]
    return np.stack(np.broadcast_arrays(u[None], v[:, None]), -1)


def _made(values: Float[np.ndarray, "r c 13"], owner: Attachment, texture: Texture) -> Attachment:
    """A grid [r, c, 13] in its owner's light."""
    rows, columns = values.shape[:2]
    flat = values.reshape(rows * columns, -1)
    return replace(
        owner,
        vertices=flat[:, POINT].astype(np.float32),
        normals=unit(flat[:, NORMAL]).astype(np.float32),
        tangents=unit(flat[:, TANGENT]).astype(np.float32),
        faces=grid_faces(rows, columns).astype(np.int32),
        uvs=flat[:, UV].astype(np.float32),
        texture=texture,
        head_weight=flat[:, WEIGHT].astype(np.float32),
        occlusion=flat[:, SHADE].astype(np.float32),
        sheets=(),
    )
