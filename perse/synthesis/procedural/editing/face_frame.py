"""Coordinate system of the face: landmarks, the directions across and down, and the face width as the unit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike, NDArray

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.shapes import Colors, Field
from perse.synthesis.procedural.editing.canvas import blur, polygon, to_lab
from perse.tracking.landmarks import CHIN, FACE_OVAL, LIPS_INNER, LIPS_OUTER

_EYE_CORNERS = (33, 263)
"""Outer corners of the person's right and left eye; the line between them hardly moves with expression."""

_NEUTRAL_SKIN = np.array([13.0, 18.0], np.float32)
"""a*, b* of skin of most people in white light; they differ in L* far more."""
_LIT = 90.0
"""L* of the brightest half percent of a person: 90 to 98 in four well lit portraits, 63 to 84 in three dim ones."""


@dataclass(frozen=True)
class FaceFrame:
    """Face coordinates in a portrait, turned and scaled with the face.

    Local coordinates are (u, v): u across, towards the right side of the picture; v down; both in face widths.
    """

    portrait: TrackedPortrait

    @property
    def unit(self) -> float:
        """One face width, pixels."""
        return float(self.portrait.face_width_px)

    @property
    def shape(self) -> tuple[int, int]:
        return self.portrait.image.shape[:2]  # type: ignore[return-value]

    @cached_property
    def points(self) -> Float32[NDArray[np.float32], "478 2"]:
        """Landmarks [478, 2]; converted from half-integer pixel centres to OpenCV's integer ones."""
        return self.portrait.landmarks_px[:, :2] - np.float32(0.5)

    @cached_property
    def axes(self) -> Float32[NDArray[np.float32], "2 2"]:
        """Axes [2, 2], unit vectors in pixels: across and down."""
        across = self.points[_EYE_CORNERS[1]] - self.points[_EYE_CORNERS[0]]
        across = across / np.linalg.norm(across)
        return np.array([across, [-across[1], across[0]]], np.float32)

    @cached_property
    def grid(self) -> Float32[NDArray[np.float32], "h w 2"]:
        """Positions [h, w, 2] of the pixels."""
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]]
        return np.stack([columns, rows], -1).astype(np.float32)

    @cached_property
    def rgb(self) -> Colors:
        """Picture of the portrait, float32 0..255."""
        return self.portrait.image.astype(np.float32)

    @cached_property
    def lab(self) -> Colors:
        return to_lab(self.rgb)

    @cached_property
    def oval(self) -> Field:
        """Mask of the face contour, hardly softened."""
        return polygon(self.shape, self.points[list(FACE_OVAL)], 0.6)

    @cached_property
    def lips(self) -> Field:
        """Mask of the mouth with everything between the lips."""
        return polygon(self.shape, self.points[list(LIPS_OUTER)], 0.6)

    @cached_property
    def between_lips(self) -> Field:
        """Mask of what is seen between the lips: teeth, tongue, or nothing when the mouth is closed."""
        return polygon(self.shape, self.points[list(LIPS_INNER)], 0.6)

    def local(self, pixels: ArrayLike, origin: ArrayLike) -> Float32[NDArray[np.float32], "*n 2"]:
        """Face coordinates [..., 2] of pixels [..., 2] around an origin in pixels."""
        return (np.asarray(pixels, np.float32) - np.asarray(origin, np.float32)) @ self.axes.T / np.float32(self.unit)

    def fields(self, origin: ArrayLike) -> tuple[Field, Field]:
        """u and v of every pixel, two [h, w] fields."""
        local = self.local(self.grid, origin)
        return local[..., 0], local[..., 1]

    def at(self, origin: ArrayLike, u: float, v: float) -> Float32[NDArray[np.float32], "2"]:
        """The pixel position at (u, v) from an origin in pixels."""
        return (
            np.asarray(origin, np.float32) + (np.float32(u) * self.axes[0] + np.float32(v) * self.axes[1]) * self.unit
        )

    def between(self, a: int, b: int, t: float) -> Float32[NDArray[np.float32], "2"]:
        """The point a fraction t of the way from landmark a to landmark b."""
        return self.points[a] * np.float32(1 - t) + self.points[b] * np.float32(t)

    def px(self, face_widths: float) -> float:
        """A length in face widths, in pixels."""
        return face_widths * self.unit

    @property
    def chin(self) -> Float32[NDArray[np.float32], "2"]:
        return self.points[CHIN]

    @cached_property
    def tint(self) -> Float32[NDArray[np.float32], "3"]:
        """Colour [3] L*a*b* to add to a painted colour so that it seems lit like the skin: warm photographs warm it
        too."""
        skin = self.portrait.masks[Part.SKIN] * self.oval > 0.9
        if not skin.any():
            return np.zeros(3, np.float32)
        shift = (np.median(self.lab[skin], 0)[1:] - _NEUTRAL_SKIN) * 0.35
        return np.array([0, *shift.clip(0, 8)], np.float32)

    @cached_property
    def exposure(self) -> np.float32:
        """Exposure of the picture, 1 for a well lit one; what is painted into a dim one is dim.

        Told by the brightest half percent of the person (eyes, teeth, highlights), not by the skin, which may be dark.
        """
        person = np.asarray(self.portrait.masks.person) > 229
        brightest = float(np.percentile(self.lab[..., 0][person], 99.5)) if person.any() else _LIT
        return np.float32(np.clip(brightest / _LIT, 0.7, 1.0))

    @cached_property
    def light(self) -> Field:
        """Light [h, w] on skin at each pixel, 1 for the face's median; smooth, continued beyond the face."""
        weight = self.oval * self.portrait.masks[Part.SKIN]
        lightness = self.lab[..., 0]
        median = float(np.median(lightness[weight > 0.5])) if (weight > 0.5).any() else 50.0
        near, far = self.px(0.05), self.px(0.25)
        # Two widths: fine where there is skin, coarse beyond it, 1 far away.
        total = blur(weight * lightness, near) + 0.02 * blur(weight * lightness, far) + 1e-3 * median
        norm = blur(weight, near) + 0.02 * blur(weight, far) + 1e-3
        return (total / norm / median).clip(0.4, 1.35).astype(np.float32)


def landmark_values(
    frame: FaceFrame, origin: ArrayLike
) -> tuple[Float32[NDArray[np.float32], "478"], Float32[NDArray[np.float32], "478"]]:
    """u and v of every landmark, two [478] arrays."""
    local = frame.local(frame.points, origin)
    return local[:, 0], local[:, 1]
