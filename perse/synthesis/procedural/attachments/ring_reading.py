"""Correspondence of things that hang from one place and have no sheet in common: a hoop that becomes a drop, a stud
that becomes one.

Of what either thing has there and the other has not, the largest bodies become each other. Two turned bodies have the
same kind of grid, from pole to pole, and need no more. A ring has another: its rows go around its hole. So the body
is read in the ring's rows and columns. Seen along the ring's axis, a point of the wire at an angle around the hole
belongs to the body's points in the same direction from its middle: the wire's outer edge to the outline, its inner
edge to the middle, front to front and back to back. On straight lines between the two the hole closes, while the
outline of the one becomes that of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perse.synthesis.procedural.attachments.grids import NORMAL, POINT, UV, Grid, texture_at
from perse.synthesis.procedural.attachments.surfaces import grid_faces, unit

Root = tuple[float, float, float]

_SAME_PLACE_M = 0.03
"""Between what two things hang from, at most: lobes of one ear are a few millimetres apart, both ears over 0.1 m."""

_CLOSED_M = 1e-6
"""Between the first and the last row of a ring: float32 rounding of a head's size."""

_FINE = (129, 97)
"""Rows and columns at which a body is read: under half a millimetre apart on an earring."""

_CHART = 64
"""Rows and columns of a body's texture in the ring's order. An earring is twenty pixels of a clip."""

_DIRECTIONS = 72
"""In which a body's outline is measured."""


def meetings(ours: Iterable[Grid], theirs: Iterable[Grid]) -> Iterator[tuple[Grid, Grid]]:
    """Pairs of bodies that become each other: the largest of each thing at every place that both hang from."""
    here, there = _largest(ours), _largest(theirs)
    for root, body in here.items():
        nearest = min(there, key=lambda other: _apart(root, other), default=None)
        if nearest is not None and _apart(root, nearest) < _SAME_PLACE_M:
            yield body, there[nearest]


def in_one_form(first: Grid, second: Grid) -> tuple[Grid, Grid]:
    """Grids of two bodies whose rows and columns correspond."""
    if is_ring(first) and not is_ring(second):
        return first, _read_as(first, second)
    if is_ring(second) and not is_ring(first):
        return _read_as(second, first), second
    return first, second


def is_ring(grid: Grid) -> bool:
    """Whether its rows lead around a hole and back to the first."""
    return bool(np.abs(grid.points[0] - grid.points[-1]).max() < _CLOSED_M and np.ptp(grid.points[0], axis=0).max() > 0)


def _largest(grids: Iterable[Grid]) -> dict[Root, Grid]:
    found: dict[Root, Grid] = {}
    for grid in grids:
        if grid.root is not None:
            known = found.get(grid.root)
            found[grid.root] = grid if known is None or _volume(grid) > _volume(known) else known
    return found


def _volume(grid: Grid) -> float:
    """Within its sheet, cubic metres."""
    rows, columns = grid.points.shape[:2]
    points = grid.points.reshape(-1, 3) - grid.points.mean((0, 1))
    a, b, c = np.moveaxis(points[grid_faces(rows, columns)], 1, 0)
    return abs(float((a * np.cross(b, c)).sum())) / 6


def _apart(first: Sequence[float], second: Sequence[float]) -> float:
    return float(np.linalg.norm(np.subtract(first, second)))


def _read_as(ring: Grid, body: Grid) -> Grid:
    """A body in a ring's rows and columns."""
    places = _Places.of(ring.points)
    seen = _Seen.of(body, places.basis)
    fine = ring.sampled(np.linspace(0, 1, _CHART), np.linspace(*ring.turns, _CHART))[..., POINT]
    texture = texture_at(body.owner.texture, seen.at(_Places.of(fine))[..., UV])
    values = seen.at(places)
    rows, columns = values.shape[:2]
    first, last = 0.5 / _CHART, 1 - 0.5 / _CHART
    u, v = np.meshgrid(np.linspace(first, last, columns), np.linspace(first, last, rows))
    values[..., UV] = np.stack([u, v], -1)
    return Grid(values, replace(body.owner, texture=texture), ring.turns, body.root)


@dataclass(frozen=True)
class _Places:
    """Where on a ring its vertices are.

    Attributes:
        basis: [3, 3] rows: two directions across the ring's axis, and the axis.
        turn: [r, c] angle around the hole.
        reach: [r, c] 1 at the wire's outer edge, 0 at its inner one.
        front: [r, c] on the side that the axis points to.
    """

    basis: Float[np.ndarray, "3 3"]
    turn: Float[np.ndarray, "r c"]
    reach: Float[np.ndarray, "r c"]
    front: Bool[NDArray[np.bool_], "r c"]

    @classmethod
    def of(cls, points: Float[np.ndarray, "r c 3"]) -> _Places:
        wire = points[:, :-1].mean(1)  # [r, 3], without the column that is there twice
        spokes = wire - wire[:-1].mean(0)
        first = unit(spokes[0])
        axis = unit(np.cross(spokes[0], spokes[len(spokes) // 4]))
        basis = np.stack([first, np.cross(axis, first), axis])
        from_wire = unit(points - wire[:, None])
        outwards = (from_wire * unit(spokes)[:, None]).sum(-1)
        turn = np.arctan2(spokes @ basis[1], spokes @ basis[0])
        return cls(basis, np.broadcast_to(turn[:, None], outwards.shape), (1 + outwards) / 2, from_wire @ axis >= 0)


@dataclass(frozen=True)
class _Seen:
    """A body as it is seen along an axis.

    Attributes:
        sides: what its points have, [n, 13], and where they are, by direction and share of the way to the outline:
            those in front, and those behind.
    """

    sides: tuple[tuple[Float[np.ndarray, "front 13"], cKDTree], tuple[Float[np.ndarray, "behind 13"], cKDTree]]

    @classmethod
    def of(cls, body: Grid, basis: Float[np.ndarray, "3 3"]) -> _Seen:
        values = body.sampled(np.linspace(0, 1, _FINE[0]), np.linspace(*body.turns, _FINE[1])).reshape(-1, 13)
        flat = values[:, POINT] @ basis[:2].T
        flat = flat - (flat.min(0) + flat.max(0)) / 2
        turn, far = np.arctan2(flat[:, 1], flat[:, 0]), np.linalg.norm(flat, axis=1)
        place = (far / _outline(turn, far))[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
        facing = values[:, NORMAL] @ basis[2]
        front, behind = (np.flatnonzero(sign * facing >= 0) for sign in (1, -1))
        return cls(((values[front], cKDTree(place[front])), (values[behind], cKDTree(place[behind]))))

    def at(self, places: _Places) -> Float[np.ndarray, "r c 13"]:
        """What the body has at places of a ring."""
        wanted = places.reach[..., None] * np.stack([np.cos(places.turn), np.sin(places.turn)], -1)
        (front, tree), (behind, other) = self.sides
        return np.where(places.front[..., None], front[tree.query(wanted)[1]], behind[other.query(wanted)[1]])


def _outline(turn: Float[np.ndarray, " n"], far: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """How far the outline is in the direction of every point."""
    number = np.floor((turn / (2 * np.pi) + 0.5) * _DIRECTIONS).astype(int) % _DIRECTIONS
    reach = np.zeros(_DIRECTIONS)
    np.maximum.at(reach, number, far)
    known = np.flatnonzero(reach > 0)
    middles = (known + 0.5) / _DIRECTIONS * 2 * np.pi - np.pi
    return np.asarray(np.maximum(np.interp(turn, middles, reach[known], period=2 * np.pi), far))
