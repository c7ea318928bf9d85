"""Scalp on which hair grows: the skull at average size, its hairline, and the ears, which hair must not cut through.

All hair is built for an average head whose skull has its centre at the origin; `Scalp.to_head` scales and moves it to
the person. So the lengths in the styles are metres on an average head, whoever wears them. Directions are those of
`Skull`: azimuth 0 is the face, positive azimuth the person's left. Angles are radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from perse.curves import ramp
from perse.synthesis.procedural.attachments.skull import Skull, directions, look_up, nearest_cells

_HAIRLINE_AZIMUTH = np.deg2rad([0, 24, 40, 48, 54, 59, 63, 69, 75, 81, 92, 101, 108, 118, 138, 180.0])
_HAIRLINE_HEIGHT = np.array(
    [0.57, 0.59, 0.61, 0.57, 0.49, 0.38, 0.24, 0.10, 0.00, 0.10, 0.24, 0.12, -0.12, -0.33, -0.45, -0.50]
)
"""Hairline: height above the eyes as a share of the crown's, by azimuth. High temples, a sideburn before the ear, an
arc over it, the nape. By eye, from photographs of shaved heads."""

_BROW_M = 0.025
_NECK_Z_M, _NECK_RADIUS_M = -0.022, 0.060
_SHOULDER_BELOW_CHIN_M = 0.115
_EAR_MARGIN_M = 0.004


@dataclass(frozen=True)
class Scalp:
    """Head as hair sees it. Metres on an average head, from the skull's centre.

    Attributes:
        bare: [elevations, azimuths], radius without ears, on `Skull`'s grid.
        covered: the same, raised so that the ears lie inside.
        hairline_azimuth, hairline_elevation: [n]; the same on both sides.
        eye_y, chin_y, crown_y, shoulder_y: heights.
        origin: [3], the skull's centre in the head's rest space, metres.
        scale: of the person's head over the average one.
    """

    bare: Float[np.ndarray, "elevations azimuths"]
    covered: Float[np.ndarray, "elevations azimuths"]
    hairline_azimuth: Float[np.ndarray, " n"]
    hairline_elevation: Float[np.ndarray, " n"]
    eye_y: float
    chin_y: float
    crown_y: float
    shoulder_y: float
    origin: Float[np.ndarray, "3"]
    scale: float

    @classmethod
    def of(cls, skull: Skull) -> Scalp:
        """Scalp of a person's head."""
        bare = skull.radii / skull.scale
        eye, chin, crown = ((y - skull.centre[1]) / skull.scale for y in (skull.eye_y, skull.chin_y, skull.crown_y))
        heights = eye + _HAIRLINE_HEIGHT * (crown - eye)
        return cls(
            bare=bare,
            covered=_raised_over(bare, (skull.ears - skull.centre) / skull.scale, _EAR_MARGIN_M),
            hairline_azimuth=_HAIRLINE_AZIMUTH,
            hairline_elevation=_elevation_at(bare, _HAIRLINE_AZIMUTH, heights),
            eye_y=float(eye),
            chin_y=float(chin),
            crown_y=float(crown),
            shoulder_y=float(chin - _SHOULDER_BELOW_CHIN_M),
            origin=skull.centre,
            scale=skull.scale,
        )

    def bare_radius(self, towards: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
        """Radius [...] of the skin, without ears, in directions [..., 3], metres."""
        return look_up(self.bare, towards)

    def covered_radius(self, towards: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
        """Radius [...] that hair must keep to lie over the ears, in directions [..., 3], metres."""
        return look_up(self.covered, towards)

    def hairline(self, azimuth: Float[NDArray[np.float64], "..."] | float) -> Float[NDArray[np.float64], "..."]:
        """Elevation of the hairline at an azimuth, radians."""
        return np.asarray(np.interp(np.abs(azimuth), self.hairline_azimuth, self.hairline_elevation))

    def elevation_at(
        self, azimuth: Float[NDArray[np.float64], "..."] | float, height: Float[NDArray[np.float64], "..."] | float
    ) -> Float[NDArray[np.float64], "..."]:
        """Elevation at which the skin reaches a height (metres) at an azimuth, radians."""
        azimuth, height = np.broadcast_arrays(np.asarray(azimuth, float), np.asarray(height, float))
        return _elevation_at(self.bare, azimuth.ravel(), height.ravel()).reshape(azimuth.shape)

    @property
    def brow_y(self) -> float:
        """Height just above the eyebrows, where a fringe ends."""
        return self.eye_y + _BROW_M

    def clear_of_neck(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Points [..., 3] pushed horizontally out of the neck."""
        from_axis = (points - [0.0, 0.0, _NECK_Z_M]) * [1, 0, 1]
        away = np.linalg.norm(from_axis, axis=-1, keepdims=True)
        return points + from_axis / np.maximum(away, 1e-6) * np.maximum(_NECK_RADIUS_M - away, 0)

    def head_weight(self, points: Float[np.ndarray, "*n 3"]) -> Float32[np.ndarray, "*n"]:
        """Share by which points [..., 3] follow the head: fully above the chin, little on the shoulders."""
        down = (self.chin_y + 0.01 - points[..., 1]) / (self.chin_y + 0.01 - self.shoulder_y)
        return (1 - 0.85 * ramp(down)).astype(np.float32)

    def to_head(self, points: Float[np.ndarray, "*n 3"]) -> Float32[np.ndarray, "*n 3"]:
        """Points [..., 3] of the average head in the person's rest space, metres."""
        return (self.origin + self.scale * points).astype(np.float32)


def _elevation_at(
    radii: Float[np.ndarray, "elevations azimuths"], azimuth: Float[np.ndarray, " n"], heights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    grid = np.deg2rad(np.linspace(-65, 89, 155))
    height_on_skin = look_up(radii, directions(azimuth[:, None], grid[None])) * np.sin(grid)[None]
    # Chin and nose make the height dip here and there; hairlines are looked for from the crown down.
    rising = np.maximum.accumulate(height_on_skin, axis=1)
    return np.array([np.interp(h, row, grid) for h, row in zip(heights, rising, strict=True)])


def _raised_over(
    radii: Float[np.ndarray, "elevations azimuths"], points: Float[np.ndarray, "n 3"], margin: float
) -> Float[np.ndarray, "elevations azimuths"]:
    """A radius table raised so that points [n, 3] lie inside by a margin, with gentle slopes around them."""
    if len(points) == 0:
        return radii
    needed = np.zeros_like(radii)
    np.maximum.at(needed, nearest_cells(radii, points), np.linalg.norm(points, axis=1) + margin)
    hull = np.maximum(needed - radii, 0)
    for _ in range(8):  # hair bridges an ear, it does not wrap it: the bump falls off by 2.8 mm per 2°
        neighbours = [np.roll(hull, step, axis) - 0.0028 for axis in (0, 1) for step in (-1, 1)]
        hull = np.maximum.reduce([hull, *neighbours])
    return radii + gaussian_filter(hull, 1.5, mode=("nearest", "wrap"))
