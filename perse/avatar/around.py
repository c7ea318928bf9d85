"""Directions around a head: azimuth, height, distance from its vertical axis.

Above the middle of the skull the height is the elevation as a length of arc, below it is the height itself, so that one
pair of numbers names a place on the crown, at the back of the head and on hair that hangs down the back alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from perse.head import Joint

SKULL_RADIUS_M = 0.1
"""Turns elevations into lengths of arc."""

BEHIND_EYES_M, ABOVE_EYES_M = 0.07, 0.02
"""The middle of the skull, from the middle of the eyeballs [M, both heads]."""

CROWN_M = SKULL_RADIUS_M * np.pi / 2
"""Height of the crown."""

BEHIND = np.radians(100)
"""Azimuth from which on a place is behind the head."""

REACH_ROW_M, REACH_M = 0.02, 0.01
"""Rows of heights in which reach is compared, and what may be added to it."""

SKULL_REACH_M, HANGING_REACH_M = 0.105, 0.13
"""Behind a head this much is allowed whatever its width, since skulls are longer than wide; and no more than this below
its middle, where hair may lie far out on the shoulders and still does not stand off the back."""


@dataclass(frozen=True)
class Around:
    """Cylindrical coordinates of places around a head.

    Attributes:
        azimuth: [n] radians, 0 in front, positive towards +x (the person's left), ±π behind.
        height: [n] metres of arc above the middle of the skull, metres below it.
        radius: [n] metres, from the middle of the skull above it, from the vertical axis below it.
    """

    azimuth: Float64[np.ndarray, " n"]
    height: Float64[np.ndarray, " n"]
    radius: Float64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.azimuth)

    def __getitem__(self, index: Shaped[np.ndarray, " m"] | Shaped[np.ndarray, " m"]) -> Around:
        return Around(self.azimuth[index], self.height[index], self.radius[index])


@dataclass(frozen=True)
class HeadAxis:
    """The vertical axis through a skull at rest.

    Attributes:
        centre: [3] metres, the middle of the skull.
    """

    centre: Float64[np.ndarray, "3"]

    @staticmethod
    def of(joints: Float[Tensor, "j 3"]) -> HeadAxis:
        """Axis of a head, from rest positions of its joints [j, 3]; y is up and z forward in every head model's rest
        space."""
        eyes = joints[[Joint.LEFT_EYE, Joint.RIGHT_EYE]].mean(0).detach().cpu().double().numpy()
        return HeadAxis(eyes + np.array([0.0, ABOVE_EYES_M, -BEHIND_EYES_M]))

    def around(self, points: Float[np.ndarray, "n 3"]) -> Around:
        """Cylindrical coordinates of points [n, 3]."""
        x, y, z = (np.asarray(points, np.float64) - self.centre).T
        flat = np.hypot(x, z)
        above = y > 0
        height = np.where(above, SKULL_RADIUS_M * np.arctan2(y, np.maximum(flat, 1e-9)), y)
        return Around(np.arctan2(x, z), height, np.where(above, np.hypot(flat, y), flat))

    def points(self, places: Around) -> Float64[np.ndarray, "n 3"]:
        """The points [n, 3] at places: the inverse of `around`."""
        elevation = np.clip(places.height / SKULL_RADIUS_M, 0, np.pi / 2)
        flat = places.radius * np.cos(elevation)
        y = np.where(places.height > 0, places.radius * np.sin(elevation), places.height)
        return self.centre + np.stack([flat * np.sin(places.azimuth), y, flat * np.cos(places.azimuth)], 1)

    def outwards(self, places: Around) -> Float64[np.ndarray, "n 3"]:
        """Unit directions [n, 3] away from the axis."""
        unit = Around(places.azimuth, places.height, np.ones(len(places)))
        away = self.points(unit) - self.centre
        away[:, 1] = np.where(places.height > 0, away[:, 1], 0)
        return away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)


def within_reach(
    axis: HeadAxis, points: Float[np.ndarray, "n 3"], owned: Bool[np.ndarray, "p n"]
) -> Bool[np.ndarray, "p n"]:
    """Mask [p, n] of the points of several things that are no farther behind the head than their thing reaches sideways
    at the same height.

    Nothing carves behind a head that turns by forty degrees: without this bound, hair and hats end in long spikes
    there.

    Args:
        points: [n, 3] at rest, metres.
        owned: [p, n], which points are part of which thing.
    """
    around = axis.around(points)
    behind = np.abs(around.azimuth) > BEHIND
    away = np.asarray(points, np.float64) - axis.centre
    sideways, flat = np.abs(away[:, 0]), np.hypot(away[:, 0], away[:, 2])
    skull = SKULL_REACH_M * np.cos(np.clip(around.height / SKULL_RADIUS_M, 0, np.pi / 2))
    rows = np.round(around.height / REACH_ROW_M).astype(np.int64)
    rows -= rows.min(initial=0)
    highest = np.where(around.height > 0, np.inf, HANGING_REACH_M)
    allowed = np.ones(owned.shape, np.bool_)
    for number, own in enumerate(owned):
        widest = np.zeros(rows.max(initial=0) + 3)
        np.maximum.at(widest, rows[own] + 1, sideways[own])
        widest = np.max([widest[:-2], widest[1:-1], widest[2:]], axis=0)[rows]  # a row looks at its neighbours
        reach = np.minimum(np.maximum(widest, skull), highest) + REACH_M
        allowed[number] = ~behind | (flat <= reach)
    return allowed
