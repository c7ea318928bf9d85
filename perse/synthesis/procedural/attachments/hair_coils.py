"""Short coils scattered over a cap: the curls of an afro, which would look felted without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from perse.synthesis.procedural.attachments.hair_sheets import outward, ribbon
from perse.synthesis.procedural.attachments.surfaces import Surface, unit


@dataclass(frozen=True, kw_only=True)
class CoilShape:
    """Coils that lie on a surface in all directions. Lengths in metres."""

    count: int
    """On the whole cap."""
    radius: float = 0.0072
    """Of the helix."""
    width: float = 0.0062
    """Of the ribbon."""
    turns: float = 2.2
    """Turns of one coil."""
    length: float = 0.030
    """Along the helix's axis."""


def scattered_coils(sheet: Surface, shape: CoilShape, rng: np.random.Generator) -> list[Surface]:
    """Coils on a cap, evenly over its area, none at the very rim."""
    away = outward(sheet)
    columns = sheet.points.shape[1]
    across, along = np.gradient(sheet.points, axis=1), np.gradient(sheet.points, axis=0)
    area = np.linalg.norm(np.cross(across, along), axis=-1)[:, :-1]
    area[0] = 0
    row, column = np.divmod(rng.choice(area.size, shape.count, p=area.ravel() / area.sum()), columns - 1)
    middle = sheet.points[row, column] + away[row, column] * rng.uniform(-0.004, 0.004, (shape.count, 1))
    return [_coil(at, up, shape, rng) for at, up in zip(middle, away[row, column], strict=True)]


def _coil(
    middle: Float[np.ndarray, "3"], up: Float[np.ndarray, "3"], shape: CoilShape, rng: np.random.Generator
) -> Surface:
    axis = rng.standard_normal(3)
    axis = unit(axis - 0.75 * (axis @ up) * up)
    first = unit(np.cross(axis, up))
    second = np.cross(first, axis)
    turns = shape.turns * rng.uniform(0.7, 1.3)
    s = np.linspace(0, 1, round(7 * turns) + 2)[:, None]
    turn = 2 * np.pi * turns * s + rng.uniform(0, 2 * np.pi)
    radius = shape.radius * rng.uniform(0.7, 1.3) * (0.7 + 0.3 * np.sin(np.pi * s))
    core = middle + shape.length * (s - 0.5) * axis + 0.006 * np.sin(np.pi * s) * up
    ring = np.cos(turn) * first + np.sin(turn) * second
    half = 0.5 * shape.width * np.sin(np.pi * np.clip(s, 0.06, 0.94)) ** 0.6
    breadth = 0.75 * axis + 0.35 * ring
    u = rng.uniform(0, 0.9)
    shade = 0.84 + 0.16 * (ring @ up)[:, None]
    return ribbon(core + radius * ring, half * breadth, core, (u, u + 0.06), 0.35 + 0.5 * s, shade)
