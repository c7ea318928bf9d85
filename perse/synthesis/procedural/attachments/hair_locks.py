"""Single locks: narrow ribbons that follow a strand of a sheet, straight, waved or coiled.

They break the smooth outline of a shell and are what makes ringlets read as ringlets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from perse.synthesis.procedural.attachments.hair_sheets import resampled, ribbon
from perse.synthesis.procedural.attachments.surfaces import Surface, unit


@dataclass(frozen=True, kw_only=True)
class LockShape:
    """Shape of locks, as differences from the sheet they follow. Lengths in metres."""

    count: int
    """Locks on this sheet."""
    width: float = 0.008
    """Of the ribbon at its widest."""
    lift: float = 0.003
    """Distance above the sheet."""
    spread: float = 0.004
    """How far a lock strays from its strand, growing towards the tip."""
    start: tuple[float, float] = (0.05, 0.45)
    """Where along the strand locks begin: least and greatest share."""
    reach: tuple[float, float] = (0.92, 1.06)
    """Where they end; beyond 1 they are longer than the sheet."""
    coil_radius: float = 0.0
    """Radius of the helix of a ringlet; 0 for straight locks."""
    coil_pitch: float = 0.022
    """Length of one turn."""
    texture_share: float = 0.04
    """Share of the texture's width that one lock shows."""


def locks(sheet: Surface, shape: LockShape, rng: np.random.Generator, *, texture_side: float = 0.0) -> list[Surface]:
    """Ribbons over a sheet.

    Args:
        texture_side: added to u, so that the locks of both sides differ.
    """
    dense, _ = resampled(sheet.points, 40)
    normal = _outward(dense, sheet)
    columns = dense.shape[1]
    where = (np.arange(shape.count) + rng.uniform(0.15, 0.85, shape.count)) / shape.count * (columns - 1)
    return [_lock(dense, normal, at, shape, rng, texture_side) for at in where]


def _lock(
    dense: Float[np.ndarray, "r c 3"],
    normal: Float[np.ndarray, "r c 3"],
    at: float,
    shape: LockShape,
    rng: np.random.Generator,
    texture_side: float,
) -> Surface:
    strand, outward = _column(dense, at), unit(_column(normal, at))
    begin, end = rng.uniform(*shape.start), rng.uniform(*shape.reach)
    length = float(np.linalg.norm(np.diff(strand, axis=0), axis=-1).sum()) * (end - begin)
    coiled = shape.coil_radius > 0
    turns = length / shape.coil_pitch
    rows = int(np.clip(round(11 * turns), 12, 100)) if coiled else 14
    along = np.linspace(begin, end, rows)
    path, out = _at(strand, along), unit(_at(outward, along))
    heading = unit(np.gradient(path, axis=0))
    side = unit(np.cross(heading, out))
    s = np.linspace(0, 1, rows)[:, None]
    stray = rng.normal(0, shape.spread, 2)
    path = path + out * (shape.lift * np.minimum(6 * s, 1) + abs(stray[0]) * s**1.5) + side * stray[1] * s**1.5
    if coiled:
        turn = 2 * np.pi * turns * s + rng.uniform(0, 2 * np.pi)
        radius = shape.coil_radius * rng.uniform(0.75, 1.3) * np.minimum(4 * s + 0.15, 1) * (1 - 0.35 * s)
        ring = out * np.cos(turn) + side * np.sin(turn)
        core, path = path + out * radius, path + out * radius + ring * radius
        # The ribbon of a ringlet is wound like a spiral staircase: its width runs along the axis.
        breadth, outward_from = 0.72 * heading + 0.4 * ring, core
    else:
        breadth, outward_from = side, path - out
    width = 0.5 * shape.width * rng.uniform(0.6, 1.25) * _taper(s)
    u = rng.uniform(0.06, 0.92 - shape.texture_share) + texture_side
    v = (begin + (1 - begin) * s) * 0.985
    shade = 0.80 + 0.20 * np.minimum(3 * s, 1)
    if coiled:
        shade = shade * (0.78 + 0.22 * np.cos(turn))
    return ribbon(path, breadth * width, outward_from, (u, u + shape.texture_share), v, shade)


def _taper(s: Float[np.ndarray, "r 1"]) -> Float[np.ndarray, "r 1"]:
    """Width over the length: grows from a point, narrows to one."""
    return np.minimum(1, 5 * s + 0.2) * np.clip((1.04 - s) / 0.4, 0, 1) ** 0.7


def _column(grid: Float[np.ndarray, "r c 3"], at: float) -> Float[np.ndarray, "r 3"]:
    """A strand between two columns of [rows, columns, 3]."""
    left = min(int(at), grid.shape[1] - 2)
    share = at - left
    return (1 - share) * grid[:, left] + share * grid[:, left + 1]


def _at(strand: Float[np.ndarray, "r 3"], along: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Points of a strand [rows, 3] at shares of its length; beyond its end it goes straight on."""
    last = len(strand) - 1
    position = np.clip(along, 0, None) * last
    index = np.minimum(position.astype(int), last - 1)
    share = (position - index)[:, None]
    return strand[index] + share * (strand[index + 1] - strand[index])


def _outward(points: Float[np.ndarray, "n c 3"], sheet: Surface) -> Float[np.ndarray, "n c 3"]:
    """Unit directions away from the sheet's inside, [rows, columns, 3]."""
    from_where = np.asarray(sheet.inner)
    if from_where.ndim == 3:
        from_where, _ = resampled(np.broadcast_to(from_where, sheet.points.shape), len(points))
    return unit(points - from_where)
