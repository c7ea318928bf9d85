"""Coordinates of the upper body in a portrait: neck, shoulders and chest, estimated from the face above them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike, NDArray

from perse.attributes import Part
from perse.shapes import Field
from perse.synthesis.procedural.editing.canvas import curve, polygon
from perse.synthesis.procedural.editing.face_frame import FaceFrame

_JAW_CORNERS = (172, 397)

SHOULDER = (1.17, 0.50)
"""u, v of the outer end of the left shoulder: adults' shoulders are about 2.3 to 2.6 face widths apart."""

NECK_PIT = 0.40
"""v of the hollow between the collar bones."""


Corners = tuple[tuple[float, float, float], ...]
"""An outline as a table, a row a corner: u in half widths of the neck, face widths beyond that, v in face widths."""
BELOW = np.inf
"""v of a corner below the picture's lower edge."""


@dataclass(frozen=True)
class BodyFrame:
    """Upright coordinates of the body: (u, v) from the point of the neck's axis at the chin's height, face widths.

    The body does not tilt with the head, so the axes are the picture's.
    """

    face: FaceFrame

    @cached_property
    def origin(self) -> Float32[NDArray[np.float32], "2"]:
        """Neck axis at the height of the chin, pixels."""
        corners = self.face.points[list(_JAW_CORNERS)]
        center = float(corners[:, 0].mean())
        neck = self.face.portrait.masks[Part.NECK]
        top, bottom = corners[:, 1].mean(), self.face.chin[1] + self.face.px(0.15)
        band = neck[round(float(top)) : round(float(bottom))]
        weight = float(band.sum())
        if weight > self.face.px(0.15) ** 2:
            columns = np.arange(band.shape[1])
            measured = float((band.sum(0) * columns).sum() / weight)
            limit = self.face.px(0.1)
            center += float(np.clip(0.6 * (measured - center), -limit, limit))
        return np.array([center, self.face.chin[1]], np.float32)

    @cached_property
    def neck_half_width(self) -> float:
        """Half width of the neck, face widths; from the visible neck, kept within what necks have."""
        corners = self.face.points[list(_JAW_CORNERS)]
        neck = self.face.portrait.masks[Part.NECK] > 0.5
        rows = slice(round(float(self.face.chin[1])), round(float(self.face.chin[1] + self.face.px(0.12))))
        widths = neck[rows].sum(1)
        from_jaw = 0.46 * float(np.linalg.norm(corners[0] - corners[1])) / self.face.unit
        measured = float(np.median(widths)) / self.face.unit / 2 if len(widths) else 0.0
        return float(np.clip(measured, 0.9 * from_jaw, 1.1 * from_jaw)) if measured > 0.2 else from_jaw

    @cached_property
    def u(self) -> Field:
        return (self.face.grid[..., 0] - self.origin[0]) / np.float32(self.face.unit)

    @cached_property
    def v(self) -> Field:
        return (self.face.grid[..., 1] - self.origin[1]) / np.float32(self.face.unit)

    def pixels(self, points: ArrayLike) -> Float32[NDArray[np.float32], "n 2"]:
        """Pixels [n, 2] of body coordinates [n, 2]."""
        return self.origin + np.asarray(points, np.float32) * np.float32(self.face.unit)

    def area(self, points: ArrayLike, soften: float = 0.0) -> Field:
        """A filled polygon, given in body coordinates; softening in face widths."""
        return polygon(self.face.shape, self.pixels(points), self.face.px(soften))

    def corners(self, rows: Corners, *, wider: float = 0.0, below: float = 0.0) -> list[tuple[float, float]]:
        """Corners (u, v) of an outline around the neck, or around what is so much wider on each side.

        Args:
            below: how far under `bottom` the corners are that lie `BELOW`.
        """
        half = self.neck_half_width + wider
        return [(halves * half + u, self.bottom + below if v == BELOW else v) for halves, u, v in rows]

    def mirrored(self, points: ArrayLike) -> Float32[NDArray[np.float32], "n 2"]:
        """Points on the left of the picture mirrored to its right."""
        return np.asarray(points, np.float32) * np.array([-1, 1], np.float32)

    def symmetric(self, right_half: ArrayLike, soften: float = 0.0) -> Field:
        """A shape symmetric to the neck's axis, from the smooth outline of its right half, top to bottom."""
        half = curve(right_half, 72)
        return self.area(np.concatenate([half, self.mirrored(half)[::-1]]), soften)

    @property
    def bottom(self) -> float:
        """Coordinate v just below the picture's lower edge."""
        return float(self.face.shape[0] - self.origin[1]) / self.face.unit + 0.3
