"""Cloth: fabric colours and patterns, folds, and the light on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import Colors, Field
from perse.synthesis.procedural.editing.body_frame import SHOULDER, BodyFrame
from perse.synthesis.procedural.editing.canvas import (
    blur,
    bump,
    curve,
    distance_inside,
    lab_of,
    noise,
    shifted,
    to_rgb,
)
from perse.synthesis.prompts.palette import FABRIC

# From the upper left and the front, as studio light falls.
_LIGHT = np.array([-0.38, -0.50, 0.78], np.float32) / np.float32(np.sqrt(0.38**2 + 0.50**2 + 0.78**2))
_AMBIENT = 0.42
_BAND_EDGE = 0.05
"""Softness of a stripe's edge, of a period."""


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Pattern of two colours: periods across and down the cloth in face widths, 0 for none, and the accent's share."""

    across: float = 0.0
    down: float = 0.0
    share: float = 0.5


PATTERNS = {
    "striped": Bands(down=0.21, share=0.46),
    "pinstriped": Bands(across=0.115, share=0.3),
    "checked": Bands(across=0.19, down=0.19),
}
"""By the vocabulary's name, but for plain cloth."""


@dataclass(frozen=True)
class Cloth:
    """Surface of a garment in the picture: coordinates for its pattern, and its shading.

    Attributes:
        body: where the body is.
        silhouette: [h, w] mask of the garment.
        seed: of folds and weave.
    """

    body: BodyFrame
    silhouette: Field
    seed: int

    @cached_property
    def folds(self) -> Field:
        """Height of the folds, in face widths: a few soft ridges from shoulders and armpits towards the middle."""
        rng = np.random.default_rng([self.seed, 1])
        height = np.zeros(self.body.face.shape, np.float32)
        bottom = self.body.bottom
        for index in range(9):
            side = 1 if index % 2 else -1
            start = np.array([side * rng.uniform(0.35, 1.25), rng.uniform(0.35, 0.8)])
            end = np.array([side * rng.uniform(-0.1, 0.9), rng.uniform(0.7, bottom)])
            middle = (start + end) / 2 + rng.normal(0, 0.07, 2)
            path = self.body.pixels(curve([start, middle, end], 24))
            ridge = np.zeros(self.body.face.shape, np.float32)
            cv2.polylines(ridge, [np.round(path * 8).astype(np.int32)], False, 1.0, 2, cv2.LINE_8, 3)
            width = self.body.face.px(rng.uniform(0.035, 0.085))
            height += blur(ridge, width) * width * rng.uniform(0.014, 0.034)
        wrinkled = noise(height.shape, rng, self.body.face.px(0.10), self.body.face.px(0.16)) * 0.0035
        return height + wrinkled

    @cached_property
    def across(self) -> Field:
        """Pattern coordinate around the body, face widths: the chest is round, so it runs faster at the sides."""
        u = self.body.u
        return np.arcsin((u / 1.75).clip(-0.98, 0.98)) * 1.75 + self._slip(1)

    @cached_property
    def down(self) -> Field:
        """Pattern coordinate along the body, face widths; sleeves have their own, turned outwards."""
        u, v = np.abs(self.body.u), self.body.v
        chest = v - 0.16 * u**2 + self._slip(0)
        sleeve = 0.72 * v + 0.62 * (u - SHOULDER[0])
        return np.where(self.armhole > 0, chest, sleeve).astype(np.float32)

    def _slip(self, axis: int) -> Field:
        """How far a fold carries the pattern sideways, face widths."""
        slope = np.gradient(blur(self.folds, 2.0), axis=axis) * self._unit
        return (0.10 * slope).clip(-0.03, 0.03)

    @cached_property
    def armhole(self) -> Field:
        """Signed distance to the armhole seams, face widths; positive on the chest."""
        u, v = np.abs(self.body.u), self.body.v
        seam = SHOULDER[0] - 0.10 - 0.20 * ((v - SHOULDER[1] + 0.1) / 0.5).clip(0, 1) ** 0.8
        return (seam - u).astype(np.float32)

    @property
    def _unit(self) -> float:
        return self.body.face.unit

    @cached_property
    def shading(self) -> Field:
        """Brightness of a light cloth, about 1 where it faces the light."""
        u = self.body.u
        unit = self._unit
        torso = 0.55 * np.sqrt((1 - (u / 1.7) ** 2).clip(0.03))
        inside = distance_inside(self.silhouette) / unit
        # Towards its outline cloth turns away from us.
        rim = 0.13 * (1 - np.exp(-inside / 0.09))
        seam = -0.012 * bump(self.armhole, 0.0, 0.018) * smoothstep(self.body.v, 0.2, 0.4)
        height = (torso + rim + seam + self.folds) * unit
        shade = lit(blur(height, 1.2))
        return (shade * (1 - 0.45 * self.head_shadow)).astype(np.float32)

    @cached_property
    def head_shadow(self) -> Field:
        """Shade of head and chin on the chest, 0..1."""
        face = self.body.face
        mass = blur(face.oval, face.px(0.09))
        return shifted(mass, face.px(0.06), face.px(0.30)) * smoothstep(self.body.v, 1.1, 0.2)

    @cached_property
    def weave(self) -> Field:
        rng = np.random.default_rng([self.seed, 2])
        return noise(self.body.face.shape, rng, 0.8) * 0.8

    def render(self, fabric: Float32[NDArray[np.float32], "*f 3"], shading: Field | None = None) -> Colors:
        """Colours sRGB 0..255 of a fabric [h, w, 3] or [3] in L*a*b* under the light."""
        shade = self.shading if shading is None else shading
        lab = np.broadcast_to(fabric, (*shade.shape, 3))
        lightness = lab[..., 0] * shade
        # Dark cloth shows its folds by sheen, not by albedo.
        lightness = lightness + 9 * (shade - 0.9) * smoothstep(lab[..., 0], 45, 10)
        lightness = np.where(lightness > 88, 88 + (lightness - 88) * 0.4, lightness) + self.weave
        chroma = shade.clip(0.45, 1.08)[..., None]
        return to_rgb(np.concatenate([lightness[..., None], lab[..., 1:] * chroma], -1).astype(np.float32))


def lit(height_px: Field) -> Field:
    """Lambert shading of a height field in pixels, 1 for a surface that faces us."""
    down, right = np.gradient(height_px)
    length = np.sqrt(right**2 + down**2 + 1)
    cosine = ((-right * _LIGHT[0] - down * _LIGHT[1] + _LIGHT[2]) / length).clip(0, 1)
    return (_AMBIENT + (1 - _AMBIENT) * cosine / _LIGHT[2]).astype(np.float32)


def rounded(mask: Field, radius_px: float, steepness: float = 1.0) -> Field:
    """Shading of a padded shape: a roll of cloth, a collar, a cord."""
    inside = distance_inside(mask).clip(0, radius_px) / radius_px
    return lit(blur(np.sqrt((1 - (1 - inside) ** 2).clip(0)) * radius_px * steepness, 1.0))


def _square_wave(
    coordinate: Float32[NDArray[np.float32], "..."], period: float, share: float
) -> Float32[NDArray[np.float32], "..."]:
    """1 on bands that take `share` of each period, with soft edges."""
    phase = np.abs(coordinate / period % 1 - 0.5)
    return smoothstep(phase, 0.5 * share + _BAND_EDGE, 0.5 * share - _BAND_EDGE)


def color_of(name: str) -> Float32[NDArray[np.float32], "3"]:
    """Colour [3] L*a*b* of a fabric."""
    return lab_of(FABRIC[name])


def dyed(cloth: Cloth, pattern: str, color: str, accent: str) -> Float32[NDArray[np.float32], "*f 3"]:
    """A fabric [h, w, 3] in L*a*b*: plain, striped (across or, for shirts, along) or checked."""
    if pattern == "plain" or not accent:
        return np.broadcast_to(color_of(color), (*cloth.silhouette.shape, 3)).astype(np.float32)
    return woven(cloth.across, cloth.down, pattern, color, accent)


def woven(
    across: Float32[NDArray[np.float32], "*n"],
    down: Float32[NDArray[np.float32], "*n"],
    pattern: str,
    color: str,
    accent: str,
) -> Float32[NDArray[np.float32], "*n 3"]:
    """A pattern of two colours [..., 3] in L*a*b* at coordinates [...] of the cloth, face widths."""
    base = np.broadcast_to(color_of(color), (*down.shape, 3)).astype(np.float32)
    second = color_of(accent)
    bands = PATTERNS[pattern]
    if bands.across and bands.down:  # gingham: threads both ways; where both cross the accent is at its fullest
        along, around = _square_wave(across, bands.across, bands.share), _square_wave(down, bands.down, bands.share)
        return second + (base - second) * (0.5 * along + 0.5 * around)[..., None]
    coordinate, period = (down, bands.down) if bands.down else (across, bands.across)
    return base + (second - base) * _square_wave(coordinate, period, bands.share)[..., None]
