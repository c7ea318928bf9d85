"""Tied hair: the tail of a ponytail and the knot of a bun."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from perse.curves import ramp
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.surfaces import Surface, sweep, unit

_TAIL_ROWS, _TAIL_COLUMNS = 26, 21


@dataclass(frozen=True, kw_only=True)
class TailShape:
    """A ponytail. Lengths in metres."""

    length: float = 0.30
    """From the tie to the tips."""
    radius: float = 0.024
    """Where it is thickest."""
    side: int = 1
    """Over which shoulder it falls: +1 the person's left."""
    wave: float = 0.0
    """Swing of its waves."""


def tail(scalp: Scalp, pole: Float[NDArray[np.float64], "3"], shape: TailShape, rng: np.random.Generator) -> Surface:
    """A tube that rises from the tie, arches over and falls beside the neck; u once around, v from tie to tips."""
    path = _tail_path(scalp, pole, shape)
    t = np.linspace(0, 1, _TAIL_ROWS)
    if shape.wave > 0:
        sway = shape.wave * ramp((t - 0.15) / 0.3) * np.sin(2 * np.pi * shape.length / 0.085 * t + rng.uniform(0, 6))
        path = path + sway[:, None] * np.array([1.0, 0.1, 0.5])
    heading = unit(np.gradient(path, axis=0))
    side = unit(np.cross(heading, np.array([0.35, 0.2, 1.0])))
    up = np.cross(side, heading)
    turn = np.linspace(0, 2 * np.pi, _TAIL_COLUMNS)
    locks = gaussian_filter1d(rng.standard_normal(_TAIL_COLUMNS - 1), 0.8, mode="wrap")
    locks = np.append(locks, locks[0]) * 0.10
    radius = shape.radius * (0.42 + 0.58 * ramp(t / 0.30)) * (1 - 0.55 * ramp((t - 0.55) / 0.45))
    radius = radius[:, None] * (1 + locks[None] * (0.4 + t[:, None]))
    ring = np.cos(turn)[None, :, None] * side[:, None] + np.sin(turn)[None, :, None] * up[:, None]
    points = path[:, None] + radius[..., None] * ring
    uvs = np.stack(np.broadcast_arrays(np.linspace(0, 1, _TAIL_COLUMNS)[None], t[:, None]), -1)
    inner = np.repeat(path[:, None], _TAIL_COLUMNS, 1)
    shade = np.broadcast_to(0.82 + 0.18 * ramp(t / 0.15)[:, None], points.shape[:2])
    return Surface(points, uvs, inner, shade)


def _tail_path(scalp: Scalp, pole: Float[np.ndarray, "3"], shape: TailShape) -> Float[np.ndarray, "r 3"]:
    """The axis of the tail, [rows, 3]: gravity bends a stiff start, the head is kept clear of."""
    step = shape.length / (_TAIL_ROWS - 1)
    position = pole * (scalp.bare_radius(pole[None])[0] + 0.006)
    heading = unit(pole * 1.0 + np.array([0.35 * shape.side, 0.75, 0.0]))
    path = [position]
    for index in range(1, _TAIL_ROWS):
        done = index / (_TAIL_ROWS - 1)
        aside = np.array([0.85 * shape.side, 0.0, 0.30]) * (1 - ramp(np.float64((done - 0.25) / 0.35)))
        keep = np.exp(-step / 0.030)
        heading = unit(keep * heading + (1 - keep) * unit(np.array([0.0, -1.0, 0.0]) + aside))
        position = position + step * heading
        clearance = scalp.bare_radius(position[None])[0] + 0.8 * shape.radius
        distance = np.linalg.norm(position)
        if position[1] > scalp.chin_y and distance < clearance:
            position = position * (clearance / distance)
        position = scalp.clear_of_neck(position[None])[0]
        path.append(position)
    return gaussian_filter1d(np.array(path), 1.2, axis=0, mode="nearest")


def band(scalp: Scalp, pole: Float[NDArray[np.float64], "3"], radius: float = 0.0115) -> Surface:
    """The hair wound around the tie of a ponytail: a short ring."""
    base = pole * (scalp.bare_radius(pole[None])[0] + 0.001)
    heading = unit(pole + np.array([0.0, 0.35, 0.0]))
    side = unit(np.cross(heading, np.array([1.0, 0.0, 0.1])))
    up = np.cross(side, heading)
    t = np.linspace(0, 1, 6)[:, None]
    swell = radius * (1 + 0.35 * np.sin(np.pi * t[:, 0]))
    wound = sweep(base + 0.016 * t * heading, side, up, swell, swell, segments=16, roundness=1.0)
    uvs = np.stack(np.broadcast_arrays(np.float64(0.5), 0.3 + 0.2 * t, wound.shade)[:2], -1)
    return replace(wound, uvs=uvs, inner=np.broadcast_to(base, wound.points.shape)).shaded(0.62)


def knot(
    scalp: Scalp, pole: Float[NDArray[np.float64], "3"], rng: np.random.Generator, radius: float = 0.037
) -> list[Surface]:
    """A bun: strands wound around a ball in two overlapping coils; v runs along the strands."""
    centre = pole * (scalp.bare_radius(pole[None])[0] + 0.62 * radius)
    axis = unit(pole + np.array([0.0, 0.25, 0.0]))
    first = unit(np.cross(axis, np.array([1.0, 0.0, 0.2])))
    second = np.cross(axis, first)
    pieces = []
    for number, (share, tilt) in enumerate(((1.0, 0.0), (0.93, 0.35))):
        polar = np.linspace(0.02, np.pi - 0.4, 15)[:, None]
        turn = np.linspace(0, 2 * np.pi, 33)[None]
        # A coil: the radius swells and sinks as the strand winds up, which makes a groove that spirals.
        groove = 1 + 0.03 * np.sin(turn + 5.5 * polar + number * 2.1 + rng.uniform(0, 6))
        reach = share * radius * groove
        lateral = np.sin(polar) * reach
        points = (
            centre
            + (np.cos(polar + tilt * 0.1) * 0.82 * reach)[..., None] * axis
            + (lateral * np.cos(turn))[..., None] * first
            + (lateral * np.sin(turn))[..., None] * second
        )
        # Strands run around the ball and slowly inwards: u follows the polar angle, v the turn, folded to stay in 0..1.
        winding = np.abs((turn / np.pi) % 2 - 1)
        uvs = np.stack(np.broadcast_arrays(polar / np.pi * 0.9 + 0.06 * np.sin(turn), 0.12 + 0.62 * winding), -1)
        shade = 0.80 + 0.20 * np.clip(np.cos(polar) + 0.75, 0, 1) + 0 * turn
        pieces.append(Surface(points, uvs, np.broadcast_to(centre, points.shape), shade * (0.9 + 0.1 * groove)))
    return pieces
