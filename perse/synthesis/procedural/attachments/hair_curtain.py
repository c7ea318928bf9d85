"""Hair that falls: strands leave the parting, lie over the skull down to the ears, then hang.

Each strand is a curve over the skull (a rational quadratic Bézier of directions, so it follows the hairline where it
frames the face) continued by a fall with a little stiffness that skull, jaw and neck push aside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from perse.curves import ramp
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_sheets import resampled, smoothed_along
from perse.synthesis.procedural.attachments.skull import angles, directions
from perse.synthesis.procedural.attachments.surfaces import Surface, unit

_OVER_SKULL = 16
"""Points of a strand between the parting and the ears."""
_FALL_STEPS = 22
"""Points of a strand below the ears."""
_ROWS = 30
"""Points of a finished strand."""


@dataclass(frozen=True, kw_only=True)
class CurtainShape:
    """Cut and parting of loose hair. Lengths in metres, angles in degrees."""

    fall: float
    """Length below the ears."""
    volume: float = 0.012
    """Distance from skull and ears where hair is fullest."""
    root_lift: float = 0.009
    """Distance from the skull at the parting."""
    parting: float = 0.0
    """Azimuth of the parting at the forehead; 0 is the middle, ±28 a side parting."""
    end_lift: float | None = None
    """Distance from the skull at the level of the ears, where it shall differ from the volume: cropped hair hugs it."""
    front: float = 41.0
    """Azimuth where the foremost strands pass the temple; larger shows more of the cheek."""
    ear_level: float = 0.012
    """Height above the eyes down to which strands lie on the head."""
    framing: float = 0.55
    """1 lets the foremost strands follow the hairline, 0 lets them cut across the forehead."""
    inward: float = 0.0
    """How far the ends of a bob curl under."""
    flare: float = 0.0
    """How far the ends stand off."""
    wave: float = 0.0
    """Swing of waves or curls."""
    wavelength: float = 0.06
    """Length of one wave."""
    columns: int = 30
    """Strands computed on each side; the texture shows many more."""


def curtain(scalp: Scalp, shape: CurtainShape, side: int, rng: np.random.Generator) -> Surface:
    """One side of loose hair.

    Args:
        side: +1 for the person's left, -1 for the right.
        rng: phases of the waves; the same generator state gives the same hair.

    Returns:
        uv: u runs over [0, ½] on the left and [1, ½] on the right, so that one texture serves both sides and they
        meet at the back.
    """
    u = np.linspace(0, 1, shape.columns)
    lying = _over_skull(scalp, shape, side, u)
    hanging = _fall(scalp, shape, lying, u)
    points, arc = resampled(np.concatenate([lying, hanging]), _ROWS)
    points = gaussian_filter1d(smoothed_along(points, 1.6), 0.8, axis=1, mode="nearest")
    if shape.wave > 0:
        points = points + _waves(shape, points, arc, rng)
    v = arc / arc[-1]
    across = np.broadcast_to(0.5 * u[None] if side > 0 else 1 - 0.5 * u[None], v.shape)
    shade = 0.70 + 0.30 * np.clip(v / 0.30, 0, 1)
    # Hair that hangs behind the cheeks and the neck gets little light.
    behind = np.clip((u[None] - 0.35) / 0.4, 0, 1) * np.clip((v - 0.45) / 0.3, 0, 1)
    return Surface(points, np.stack([across, v], -1), _axis(points), shade * (1 - 0.25 * behind))


def _over_skull(
    scalp: Scalp, shape: CurtainShape, side: int, u: Float[NDArray[np.float64], " c"]
) -> Float[NDArray[np.float64], "r c 3"]:
    """From the parting to the level of the ears: [rows, columns, 3] metres."""
    root = _parting(scalp, shape, u)
    end_azimuth = side * np.deg2rad(shape.front + (182 - shape.front) * u**0.9)
    end_elevation = scalp.elevation_at(end_azimuth, scalp.eye_y + shape.ear_level)
    end = directions(end_azimuth, end_elevation)
    temple_azimuth = side * np.deg2rad(max(shape.front - 10, 30.0))
    temple = directions(temple_azimuth, scalp.hairline(temple_azimuth) + np.deg2rad(16))
    framing = (shape.framing * np.clip(1 - u / 0.35, 0, 1))[:, None]
    middle = unit((1 - framing) * unit(root + end) + framing * temple)
    t = np.linspace(0, 1, _OVER_SKULL)[:, None, None]
    towards = unit((1 - t) ** 2 * root + 2 * t * (1 - t) * middle + t**2 * end)
    height = shape.root_lift + (shape.volume - shape.root_lift) * ramp(t[..., 0] / 0.35)
    height = height + 0.22 * shape.volume * np.sin(np.pi * t[..., 0])
    if shape.end_lift is not None:
        height = height + (shape.end_lift - shape.volume) * ramp((t[..., 0] - 0.4) / 0.6)
    height = height * (0.5 + 0.5 * ramp(u / 0.16))  # strands that frame the face lie close to it
    radius = scalp.covered_radius(towards)
    radius = np.maximum(radius, gaussian_filter(radius, 0.8, mode="nearest"))
    return towards * (radius + height)[..., None]


def _parting(
    scalp: Scalp, shape: CurtainShape, u: Float[NDArray[np.float64], " c"]
) -> Float[NDArray[np.float64], "c 3"]:
    """Where strands are rooted: directions [columns, 3] along the parting, over the crown, down the back."""
    front_azimuth = np.deg2rad(shape.parting)
    front = float(scalp.hairline(front_azimuth)) + np.deg2rad(1.5)
    arc = front + (np.deg2rad(150) - front) * u
    aside = np.tan(front_azimuth) * np.cos(front) * np.clip(1 - 1.15 * u, 0, 1)
    return unit(np.stack([aside, np.sin(arc), np.cos(arc)], -1))


def _fall(
    scalp: Scalp, shape: CurtainShape, lying: Float[np.ndarray, "r c 3"], u: Float[np.ndarray, " c"]
) -> Float[np.ndarray, "steps c 3"]:
    """Continue strands downwards by `shape.fall`: [steps, columns, 3] metres."""
    step = shape.fall / _FALL_STEPS
    position = lying[-1].copy()
    gap = 0.006 if shape.end_lift is None else shape.end_lift
    heading = unit(lying[-1] - lying[-3])
    outward = unit(position * [1, 0, 1])
    stiffness = np.exp(-step / 0.028)  # hair bends into the vertical over about 3 cm
    path = []
    for index in range(_FALL_STEPS):
        done = (index + 1) / _FALL_STEPS
        drift = shape.flare * done - 2.2 * shape.inward * ramp(np.float64((done - 0.5) / 0.5)) * done
        # Long hair parts over the shoulder: what comes from the temple falls before it, the rest behind.
        before = 0.30 * _over_shoulder(scalp, position) * (0.46 - u)[:, None] / 0.46
        target = unit(np.array([0.0, -1.0, 0.0]) + drift * outward + before * np.array([0.0, 0.0, 1.0]))
        heading = unit(stiffness * heading + (1 - stiffness) * target)
        position = _pushed_out(scalp, position + step * heading, gap)
        path.append(position)
    return np.stack(path)


def _over_shoulder(scalp: Scalp, points: Float[NDArray[np.float64], "n 3"]) -> Float[NDArray[np.float64], "n 1"]:
    """How far points [n, 3] are on their way from the chin down to the shoulders: [n, 1] in [0, 1]."""
    return ramp((scalp.chin_y + 0.03 - points[:, 1:2]) / 0.09)


def _pushed_out(
    scalp: Scalp, points: Float[NDArray[np.float64], "n 3"], gap: float
) -> Float[NDArray[np.float64], "n 3"]:
    """Points [n, 3] moved off the head and the neck. Shoulders do not count: hair falls in front of and behind them."""
    distance = np.linalg.norm(points, axis=-1)
    _, elevation = angles(points)
    needed = np.minimum(scalp.covered_radius(points) + gap, 0.125)
    near_skull = np.clip((elevation + np.deg2rad(50)) / np.deg2rad(14), 0, 1)
    scale = np.maximum(1.0, 1 + near_skull * (needed / np.maximum(distance, 1e-6) - 1))
    return scalp.clear_of_neck(points * scale[..., None])


def _waves(
    shape: CurtainShape, points: Float[np.ndarray, "r c 3"], arc: Float[np.ndarray, "r c"], rng: np.random.Generator
) -> Float[np.ndarray, "r c 3"]:
    """Displacement [rows, columns, 3] of waves whose phase drifts from lock to lock."""
    columns = points.shape[1]
    correlation = np.clip(shape.wavelength / 0.012, 1.0, 5.0)
    phase = gaussian_filter1d(rng.standard_normal(columns), correlation)
    phase *= 1.6 / (phase.std() + 1e-6)
    turns = 2 * np.pi * arc / shape.wavelength + phase[None] + rng.uniform(0, 2 * np.pi)
    outward = unit((points - _axis(points)) * [1, 0, 1])
    sideways = np.stack([outward[..., 2], np.zeros_like(outward[..., 0]), -outward[..., 0]], -1)
    swing = shape.wave * ramp((arc - 0.045) / 0.08)
    away = (1 + np.sin(turns)) * swing  # only away from the head, or the wave would dip into the face
    return outward * (0.7 * away)[..., None] + sideways * (swing * np.cos(turns + 0.6))[..., None]


def _axis(points: Float[NDArray[np.float64], "*n 3"]) -> Float[NDArray[np.float64], "*n 3"]:
    """The nearest point of the head's upright axis, at most as high as the skull's centre: [..., 3]."""
    axis = np.zeros_like(points)
    axis[..., 1] = np.minimum(points[..., 1], 0.0)
    return axis
