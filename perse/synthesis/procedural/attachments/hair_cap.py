"""Hair that lies on the skull: the painted scalp, stubble, cropped and combed-back hair, afros.

A cap is a grid over everything above the hairline: rows from the hairline to the crown, columns around the head. Its
texture is laid out in the same chart, so that the edge is as soft and irregular as a hairline, while the strands
drawn into it run where the style combs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from perse.curves import ramp, smoothstep
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_textures import layered_noise
from perse.synthesis.procedural.attachments.skull import angles, directions
from perse.synthesis.procedural.attachments.surfaces import Surface, smoothed_around, unit

_COLUMNS = 72
_ROWS = 22
_CROWN = np.deg2rad(89.5)
_HAIRLINE = ((0.6, 0.7, 1), (0.7, 2.5, 1))
"""Noise of where strands begin: strength, correlation, rows."""

OnCap = Float[np.ndarray, "r c"]
"""A value at every node of a cap."""
Thickness = Callable[[OnCap, OnCap, OnCap], OnCap]
"""(t from hairline 0 to crown 1, azimuth, elevation) -> metres above the skull."""


@dataclass(frozen=True, kw_only=True)
class CapRim:
    """Lower edge of a cap."""

    overhang: float = 0.0
    """Degrees by which the cap reaches below the hairline (negative: stays above it)."""
    irregularity: float = 1.0
    """Deviation of the rim from a smooth line, degrees."""
    side_overhang: float = 0.0
    """Further degrees of overhang at the sides: hair that hangs over the ears."""
    nape_overhang: float = 0.0
    """Further degrees of overhang at the back; negative leaves the nape free."""


def cap(
    scalp: Scalp,
    thickness: Thickness,
    rim: CapRim,
    rng: np.random.Generator,
    *,
    rows: int = _ROWS,
) -> Surface:
    """Hair over the whole skull above the hairline.

    Returns:
        points: first row at the rim, last row at the crown; the first and last column coincide.
        uv: u once around the head, starting at the back; v = 0 at the rim.
    """
    azimuth, elevation, t = _chart(scalp, rim, rng, rows)
    towards = directions(azimuth, elevation)
    radius = scalp.bare_radius(towards)
    radius = np.maximum(radius, gaussian_filter(radius, (0.8, 1.2), mode=("nearest", "wrap")))
    height = thickness(t, azimuth, elevation)
    total = radius + height
    total[-1] = total[-1, :-1].mean()
    total[:, -1] = total[:, 0]
    points = towards * total[..., None]
    uvs = np.stack(np.broadcast_arrays(np.linspace(0, 1, _COLUMNS + 1)[None], t), -1)
    return Surface(points, uvs, np.zeros(3), np.ones(t.shape))


def _chart(
    scalp: Scalp, rim: CapRim, rng: np.random.Generator, rows: int
) -> tuple[Float[NDArray[np.float64], "r c"], Float[NDArray[np.float64], "r c"], Float[NDArray[np.float64], "r c"]]:
    """Azimuth, elevation and t of a cap's grid, [rows, columns + 1] each."""
    azimuth = np.linspace(-np.pi, np.pi, _COLUMNS + 1)
    jitter = gaussian_filter1d(rng.standard_normal(_COLUMNS), 1.0, mode="wrap")
    jitter = np.append(jitter, jitter[0]) * rim.irregularity / (jitter.std() + 1e-6) * 0.6
    nape = ramp((np.abs(azimuth) - np.deg2rad(105)) / np.deg2rad(35))
    sides = ramp((np.abs(azimuth) - np.deg2rad(60)) / np.deg2rad(25)) * (1 - nape)
    overhang = rim.overhang + rim.side_overhang * sides + rim.nape_overhang * nape
    lowest = np.rad2deg(scalp.hairline(azimuth)) - overhang + jitter
    lowest = np.deg2rad(smoothed_around(lowest, 1.0))
    t = np.broadcast_to(np.linspace(0, 1, rows)[:, None], (rows, _COLUMNS + 1))
    # Rows are denser at the rim, where the shape changes fastest.
    elevation = lowest[None] + (_CROWN - lowest[None]) * t**1.25
    return np.broadcast_to(azimuth[None], elevation.shape), elevation, t


@dataclass(frozen=True, kw_only=True)
class CapEdge:
    """Beginning of cap hair at the hairline. Angles in degrees, seen from the skull's centre."""

    softness: float = 5.0
    """Width of the transition from skin to hair."""
    jaggedness: float = 3.0
    """How far single strands reach into the skin."""
    coverage: float = 1.0
    """Alpha in the middle of the scalp."""


def combed_texture(
    strands: UInt8[NDArray[np.uint8], "h w 4"],
    sheet: Surface,
    pole: Float[NDArray[np.float64], "3"],
    edge: CapEdge,
    rng: np.random.Generator,
    *,
    repeats: float = 3.0,
) -> UInt8[NDArray[np.uint8], "s s 4"]:
    """A texture in a cap's chart whose strands radiate from a pole: the whorl, the parting or the knot of a bun.

    Args:
        strands: [s, w, 4] from `strand_texture`, opaque.
        sheet: the cap.
        pole: [3] unit direction that all strands point to.
        repeats: how often `strands` goes around the pole.

    Returns:
        [s, s, 4] uint8.
    """
    size = strands.shape[0]
    points = cv2.resize(sheet.points.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR).astype(float)
    around, away = polar_angles(points, pole)
    x = (around / (2 * np.pi) * repeats * strands.shape[1]) % strands.shape[1]
    y = np.clip(away / np.pi * 1.1, 0, 1) * (size - 1)
    combed = cv2.remap(
        strands, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    texture = combed.astype(np.uint8)
    texture[..., 3] = np.clip(255 * _edge_alpha(points, around, edge, rng), 0, 255)
    return texture


def comb_towards(
    pole: Float[NDArray[np.float64], "3"], normals: Float32[NDArray[np.float32], "v 3"]
) -> Float32[NDArray[np.float32], "v 3"]:
    """Strand tangents [v, 3] on normals [v, 3] for hair that is combed towards a pole."""
    along = pole - (normals @ pole)[:, None] * normals
    return unit(along).astype(np.float32)


def polar_angles(
    towards: Float[NDArray[np.float64], "*n 3"], pole: Float[NDArray[np.float64], "3"]
) -> tuple[Float[NDArray[np.float64], "*n"], Float[NDArray[np.float64], "*n"]]:
    """Longitude in [0, 2π) and distance in [0, π] of directions [..., 3] about a pole."""
    towards = unit(towards)
    first = unit(np.cross(pole, [0.31, 0.12, 0.94]))
    second = np.cross(pole, first)
    around = np.arctan2(towards @ second, towards @ first) % (2 * np.pi)
    return around, np.arccos(np.clip(towards @ pole, -1, 1))


def _edge_alpha(
    points: Float[np.ndarray, "s s 3"], around: Float[np.ndarray, "s s"], edge: CapEdge, rng: np.random.Generator
) -> Float[np.ndarray, "s s"]:
    """Alpha [s, s]: strands (lines of equal longitude about the pole) start at their own distance from the rim."""
    elevation = np.rad2deg(angles(points)[1])
    above = elevation - elevation[:1]
    profile = layered_noise(rng, _HAIRLINE)[0]
    start = profile[(around * (2.5 * len(profile) / (2 * np.pi))).astype(int) % len(profile)]
    begin = edge.jaggedness * np.clip(1.0 + start, 0, 3) * 0.5
    return edge.coverage * smoothstep((above - begin) / edge.softness)


def back_of_head(elevation_deg: float) -> Float[NDArray[np.float64], "3"]:
    """The direction so far above the back of the head."""
    return directions(np.pi, np.deg2rad(elevation_deg))
