"""Sheets of an attachment as grids that can be read at other rows and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from perse.data import Attachment
from perse.synthesis.procedural.attachments.textures import Texture

POINT, NORMAL, TANGENT, UV = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 11)
WEIGHT, SHADE = 11, 12
"""Columns of what a vertex has."""

_TOUCH_M = 1e-4
"""Sheets of one place that follow each other and meet within this are one: a top hat's side and its top."""

_CHART = (256, 512)
"""Most rows and columns of a chart: a hat is a hundred pixels wide in a clip."""


@dataclass(frozen=True)
class Grid:
    """Sheet of vertices with what they have.

    Attributes:
        values: [r, c, 13].
        owner: whose it is.
        turns, root: as of the `Sheet`.
        by_number: whether its rows count by their number, not by where they are: the other has as many.
    """

    values: Float[NDArray[np.float64], "r c 13"]
    owner: Attachment
    turns: tuple[float, float]
    root: tuple[float, float, float] | None
    by_number: bool = False

    @property
    def points(self) -> Float[NDArray[np.float64], "r c 3"]:
        """Points [r, c, 3] in rest pose, metres."""
        return self.values[..., POINT]

    @property
    def rows(self) -> Float[NDArray[np.float64], " r"]:
        """Positions [r] of its rows, ascending in [0, 1]: by arc length or by number."""
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=-1).mean(1)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        by_length = along[-1] > 0 and not self.by_number
        return along / along[-1] if by_length else np.linspace(0, 1, len(along))

    @property
    def columns(self) -> Float[NDArray[np.float64], " c"]:
        """Positions [c] of its columns, ascending turns."""
        return np.linspace(*self.turns, self.values.shape[1])

    def sampled(
        self, rows: Float[NDArray[np.float64], " r"], columns: Float[NDArray[np.float64], " c"]
    ) -> Float[NDArray[np.float64], "r c 13"]:
        """Values [r, c, 13] at other rows and columns; beyond its own it stays what it is at the edge."""
        return _interpolated(_interpolated(self.values, self.rows, rows, 0), self.columns, columns, 1)

    def chart_size(self) -> tuple[int, int]:
        """Rows and columns of a chart that is as fine as the texture, within limits."""
        rows, columns = self.owner.texture.shape[:2]
        wide, high = (np.ptp(self.values[..., 9 + axis]) for axis in (0, 1))
        return int(np.clip(rows * high, 8, _CHART[0])), int(np.clip(columns * wide, 8, _CHART[1]))

    def chart(self, size: tuple[int, int], columns: tuple[float, float]) -> Texture:
        """Texture laid out over the sheet, [rows, columns, 4], from the first row to the last, over some turns."""
        uvs = self.sampled(np.linspace(0, 1, size[0]), np.linspace(*columns, size[1]))[..., UV]
        return texture_at(self.owner.texture, uvs)


def texture_at(texture: Texture, uvs: Float[NDArray[np.float64], "r c 2"]) -> UInt8[NDArray[np.uint8], "r c 4"]:
    """Texels [r, c, 4] at texture coordinates; u wraps around."""
    high, wide = texture.shape[:2]
    x = (uvs[..., 0] * wide - 0.5) % wide
    y = np.clip(uvs[..., 1] * high - 0.5, 0, high - 1)
    wrapped = np.concatenate([texture, texture[:, :1]], 1)
    found = cv2.remap(wrapped, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(found, np.uint8)


def grids_by_place(things: Sequence[Attachment]) -> dict[str, list[Grid]]:
    """Sheets by what they are of the thing; those that continue each other are one."""
    found: dict[str, list[Grid]] = {}
    for item in things:
        for place, grid in _cut(item):
            known = found.setdefault(place, [])
            if known and known[-1].owner is item and _meet(known[-1], grid):
                known[-1] = replace(grid, values=np.concatenate([known[-1].values, grid.values]))
            else:
                known.append(grid)
    return found


def _cut(item: Attachment) -> Iterator[tuple[str, Grid]]:
    columns = (item.vertices, item.normals, item.tangents, item.uvs, item.head_weight[:, None], item.occlusion[:, None])
    values = np.concatenate(columns, 1).astype(np.float64)
    start = 0
    for sheet in item.sheets:
        stop = start + sheet.rows * sheet.columns
        grid = values[start:stop].reshape(sheet.rows, sheet.columns, -1)
        yield sheet.place, Grid(grid, item, sheet.turns, sheet.root)
        start = stop


def _meet(first: Grid, second: Grid) -> bool:
    one, other = first.points[-1], second.points[0]
    return one.shape == other.shape and bool(np.abs(one - other).max() < _TOUCH_M)


def _interpolated(
    values: Float[NDArray[np.float64], "r c 13"],
    at: Float[NDArray[np.float64], " n"],
    wanted: Float[NDArray[np.float64], " m"],
    axis: int,
) -> Float[NDArray[np.float64], "r2 c2 13"]:
    """Values along an axis, known at ascending places, at wanted ones. Where a place is twice, the later one counts."""
    left = np.clip(np.searchsorted(at, wanted, side="right") - 1, 0, len(at) - 2)
    width = at[left + 1] - at[left]
    share = np.clip((wanted - at[left]) / np.where(width > 0, width, 1), 0, 1)
    share = share.reshape(-1, *(1,) * (values.ndim - axis - 1))
    return (1 - share) * np.take(values, left, axis) + share * np.take(values, left + 1, axis)
