"""A fringe: strands from the crown over the forehead down to the brows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.skull import directions
from perse.synthesis.procedural.attachments.surfaces import Surface

_COLUMNS = 36
_ROWS = 18


@dataclass(frozen=True, kw_only=True)
class FringeShape:
    """Cut of a fringe. Angles in degrees, lengths in metres."""

    width: float = 47.0
    """Azimuth that it reaches on both sides."""
    crown: float = 62.0
    """Elevation at which it is rooted."""
    lift: float = 0.013
    """Distance from the forehead; it must clear the hair beneath."""
    sweep: float = 0.0
    """Azimuth by which the tips are combed to one side."""
    rise: float = 5.0
    """How much higher it ends at the temples than in the middle."""
    wave: float = 0.0
    """Swing of waves or curls, metres."""


def fringe(scalp: Scalp, shape: FringeShape, rng: np.random.Generator) -> Surface:
    """The fringe as a sheet; u once across it, v from root to tip."""
    u = np.linspace(-1, 1, _COLUMNS)[None]
    t = np.linspace(0, 1, _ROWS)[:, None]
    azimuth = np.deg2rad(shape.width * u * (0.62 + 0.38 * t) + shape.sweep * t**1.4)
    tips = np.rad2deg(scalp.elevation_at(0.0, scalp.brow_y)) + shape.rise * np.abs(u) ** 2.5
    tips = tips + gaussian_filter1d(rng.standard_normal(_COLUMNS), 1.2)[None] * 0.8
    elevation = np.deg2rad(shape.crown + (tips - shape.crown) * t)
    towards = directions(azimuth, elevation)
    radius = gaussian_filter(scalp.bare_radius(towards), (1.0, 1.5), mode="nearest")
    # Hair stands up at its root, bends over the hairline and comes to lie near the brows.
    height = shape.lift * (0.45 + 0.75 * np.sin(np.pi * np.clip(0.12 + 0.72 * t, 0, 1)))
    drift = 4 * gaussian_filter1d(rng.standard_normal(_COLUMNS), 2.5)[None]
    height = height + shape.wave * (1 + np.sin(9 * t + 5 * u + drift)) * t
    points = towards * (radius + height)[..., None]
    uvs = np.stack(np.broadcast_arrays(0.5 + 0.5 * u, t), -1)
    shade = np.broadcast_to(0.86 + 0.14 * np.sin(np.pi * np.clip(t * 0.9, 0, 1)), t.shape)
    return Surface(points, uvs, np.zeros(3), np.broadcast_to(shade, points.shape[:2]))
