"""Garments: their cuts and sewn parts. `clothes` takes the old one off and puts these on.

A new garment is a row of `GARMENTS` and its name in the vocabulary (`perse/synthesis/prompts/vocabulary.py`); what no
other garment has is drawn by a tailor of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32

from perse.curves import smoothstep
from perse.shapes import Colors, Field
from perse.synthesis.procedural.editing.body_frame import BELOW, BodyFrame, Corners
from perse.synthesis.procedural.editing.canvas import (
    blur,
    bump,
    curve,
    distance_inside,
    line,
    mix,
    shifted,
)
from perse.synthesis.procedural.editing.cloth import Cloth, color_of, dyed, rounded


@dataclass(frozen=True)
class Sewing:
    """Picture on which a garment is being put.

    Attributes:
        picture: [h, w, 3] with what has been drawn so far.
        alpha: [h, w] where the garment covers.
        free: [h, w] 1 where the garment may be seen: not behind head and hair.
    """

    picture: Colors
    alpha: Field
    free: Field

    def lay(self, rgb: Colors, mask: Field, shadow_px: float = 0.0, darkness: float = 0.5) -> Sewing:
        """Picture with another piece of cloth on top, with the shadow that it throws on what lies below."""
        picture = self.picture
        if shadow_px > 0:
            cast = shifted(blur(mask, shadow_px), 0.3 * shadow_px, 0.8 * shadow_px) * (1 - mask) * self.free
            picture = picture * (1 - darkness * cast[..., None])
        seen = mask * self.free
        return replace(self, picture=mix(picture, rgb, seen), alpha=np.maximum(self.alpha, seen))

    def shade(self, amount: Field) -> Sewing:
        """Picture in which what has been drawn so far is darker."""
        return replace(self, picture=self.picture * (1 - (amount * self.free).clip(0, 1))[..., None])


_PLACKET_LEFT: Corners = ((-1, -0.06, -0.4), (-1, -0.03, 0.06))
_PLACKET_RIGHT: Corners = ((1, 0.03, 0.06), (1, 0.06, -0.4))
_VEE_RIGHT: Corners = ((1, 0.13, -0.3), (1, 0.12, 0.12), (0, 0.27, 0.46), (0, 0.0, 0.80))


@dataclass(frozen=True)
class _Roll:
    """Skin down to a collar that closes around the neck."""

    def area(self, body: BodyFrame) -> Field:
        return smoothstep(body.v - 0.055 + 0.10 * (body.u / body.neck_half_width) ** 2, 0.012, -0.012)


@dataclass(frozen=True)
class _Placket:
    """Skin between two straight edges that meet `depth` face widths below the chin line."""

    depth: float

    def area(self, body: BodyFrame) -> Field:
        return body.area([*body.corners(_PLACKET_LEFT), (0, self.depth), *body.corners(_PLACKET_RIGHT)])


@dataclass(frozen=True)
class _Vee:
    """Skin between two curved edges that meet on the chest."""

    def area(self, body: BodyFrame) -> Field:
        right = curve(body.corners(_VEE_RIGHT), 40)
        return body.area(np.concatenate([right, body.mirrored(right)[::-1]]))


@dataclass(frozen=True)
class _Round:
    """Skin in an ellipse: how far down, and how much wider than the neck on each side, face widths."""

    depth: float
    wider: float

    def area(self, body: BodyFrame) -> Field:
        """[h, w] soft mask; its upper end is hidden by the head."""
        above = -0.25
        ellipse = np.hypot(body.u / (body.neck_half_width + self.wider), (body.v - above) / (self.depth - above))
        return smoothstep(ellipse, 1.012, 0.988)


Opening = _Roll | _Placket | _Vee | _Round


@dataclass(frozen=True)
class Cut:
    """A kind of garment.

    Attributes:
        tailor: draws it.
        opening: where skin is seen above it.
        loose: how far it stands off the shoulders, face widths; about half as much more at the arms.
        collars: openings of collars that the prompt may ask for instead.
    """

    tailor: Callable[[Garment, Sewing], Sewing]
    opening: Opening
    loose: float = 0.0
    collars: Mapping[str, Opening] = field(default_factory=dict)


@dataclass(frozen=True)
class Garment:
    """Garment that the prompt asks for, with the tools to draw it."""

    body: BodyFrame
    cloth: Cloth
    opening: Field
    color: str
    accent: str
    pattern: str


@dataclass(frozen=True, kw_only=True)
class SewnPatch:
    """Padded piece of cloth that is sewn on. Lengths in face widths.

    Attributes:
        outline: of the one at the person's left; `sides` says whether there is its mirror image too.
        below: how far under the picture's edge the corners are that lie `BELOW`.
        padding: how far inwards its edge is rounded, and how steeply.
        folds: share of its tone that the garment's folds make.
        gain: of its tone.
        shadow: how far, and how darkly, it shades what lies below.
        soften: blur of its edge.
        samples: points of a smooth closed curve through the outline; 0 for straight edges.
    """

    outline: Corners
    padding: tuple[float, float]
    shadow: tuple[float, float]
    below: float = 0.0
    folds: float = 0.0
    gain: float = 1.0
    soften: float = 0.0
    sides: tuple[int, ...] = (1, -1)
    samples: int = 0

    def sewn(
        self,
        garment: Garment,
        sewing: Sewing,
        fabric: Float32[np.ndarray, "*f 3"],
        *,
        pattern: Field | float = 1.0,
        brightest: float = 1.0,
    ) -> Sewing:
        """Picture with the patch in a fabric; `pattern` multiplies its tone, `brightest` is the fold that is full
        light."""
        body, px = garment.body, garment.body.face.px
        folds = self.folds * garment.cloth.shading / brightest
        for side in self.sides:
            corners = np.array(body.corners(self.outline, below=self.below)) * np.array([side, 1])
            mask = body.area(curve(corners, self.samples, closed=True) if self.samples else corners, self.soften)
            padded = rounded(mask, px(self.padding[0]), self.padding[1])
            tone = padded * ((1 - self.folds) + folds) * pattern * self.gain
            rgb = garment.cloth.render(fabric, tone.astype(np.float32))
            sewing = sewing.lay(rgb, mask, px(self.shadow[0]), self.shadow[1])
        return sewing


_SHIRT_COLLAR = SewnPatch(
    outline=(
        (1, -0.035, -0.20), (1, 0.06, -0.14), (1, 0.17, 0.20), (0, 0.36, 0.73), (0, 0.015, 0.56), (1, -0.07, 0.10),
    ),
    padding=(0.03, 0.55), folds=0.45, gain=1.05, shadow=(0.03, 0.5), soften=0.004,
)  # fmt: skip
_SUIT_COLLAR = replace(
    _SHIRT_COLLAR,
    outline=(
        (1, -0.035, -0.20), (1, 0.06, -0.14), (1, 0.17, 0.20), (0, 0.27, 0.59), (0, 0.015, 0.42), (1, -0.07, 0.10),
    ),
)  # fmt: skip
_LAPELS = SewnPatch(
    outline=(
        (1, 0.07, -0.02), (1, 0.24, 0.22), (0, 0.74, 0.62), (0, 0.56, 0.66), (0, 0.62, 0.80), (0, 0.10, BELOW),
        (0, -0.02, BELOW), (0, 0.20, 0.75), (0, 0.33, 0.36),
    ),
    below=0.05, padding=(0.03, 0.6), folds=0.55, gain=1.16, shadow=(0.035, 0.6), soften=0.004,
)  # fmt: skip
_TIE_BLADE = SewnPatch(
    outline=((0, -0.055, 0.56), (0, 0.055, 0.56), (0, 0.135, BELOW), (0, -0.135, BELOW)),
    below=0.1, padding=(0.06, 0.6), folds=0.5, shadow=(0.025, 0.5), soften=0.003, sides=(1,),
)  # fmt: skip
_TIE_KNOT = SewnPatch(
    outline=((0, -0.105, 0.40), (0, 0.105, 0.40), (0, 0.07, 0.585), (0, -0.07, 0.585)),
    padding=(0.05, 0.9), shadow=(0.02, 0.6), soften=0.006, sides=(1,),
)  # fmt: skip
# The hood's rim on one side: from behind the ear, over the collar bone, to the middle of the chest.
_HOOD_RIM = SewnPatch(
    outline=(
        (1, 0.00, -0.28), (1, 0.16, -0.22), (1, 0.33, 0.02), (1, 0.30, 0.30), (0, 0.34, 0.54), (0, 0.06, 0.68),
        (0, -0.045, 0.58), (0, 0.09, 0.46), (0, 0.27, 0.30), (1, -0.02, 0.10), (1, -0.01, -0.08),
    ),
    padding=(0.16, 1.1), folds=0.65, gain=1.08, shadow=(0.045, 0.62), samples=120,
)  # fmt: skip


# Right halves, top to bottom.
_ROLL_WIDER = 0.045
_ROLL: Corners = (
    (1, -0.015, -0.16), (1, 0, 0.05), (1, 0.035, 0.27), (1, -0.02, 0.37), (0, 0.22, 0.455), (0, 0, 0.475),
)  # fmt: skip
_HOOD_INSIDE: Corners = ((0, 0, -0.34), (1, 0.10, -0.26), (1, 0.22, -0.02), (1, 0.1, 0.30), (0, 0, 0.35))
_HOOD_CORD = ((0.12, 0.50), (0.15, 0.70), (0.125, 0.98))
_SHIRT_FRONT: Corners = ((-1, -0.14, 0.02), (0, -0.36, 0.30), (0, 0, BELOW), (0, 0.36, 0.30), (1, 0.14, 0.02))
"""What of the shirt a jacket leaves open."""


def _panel(garment: Garment, sewing: Sewing) -> Sewing:
    """The body of the garment: everything of its silhouette but the opening."""
    cloth = garment.cloth
    mask = cloth.silhouette * (1 - garment.opening)
    fabric = dyed(cloth, garment.pattern, garment.color, garment.accent)
    return sewing.lay(cloth.render(fabric), mask, garment.body.face.px(0.022), 0.55)


def _t_shirt(garment: Garment, sewing: Sewing) -> Sewing:
    sewn = _panel(garment, sewing)
    body, cloth = garment.body, garment.cloth
    px = body.face.px
    outside = (1 - distance_inside(1 - garment.opening) / px(0.075)).clip(0, 1)
    rib = smoothstep(outside, 0.0, 0.06) * (1 - garment.opening) * cloth.silhouette
    angle = np.arctan2(body.v + 0.25, body.u)
    ribs = 0.93 + 0.09 * np.sin(angle * 150)
    name = garment.accent if garment.pattern == "striped" and garment.accent else garment.color
    seam = smoothstep(outside, 0.0, 0.10) * smoothstep(outside, 0.28, 0.12)
    tone = rounded(rib, px(0.035), 0.8) * ribs * (1 - 0.35 * seam) * (0.75 + 0.25 * cloth.shading)
    return sewn.lay(cloth.render(color_of(name), tone.astype(np.float32)), rib)


def _turtleneck(garment: Garment, sewing: Sewing) -> Sewing:
    sewn = _panel(garment, sewing)
    body, cloth = garment.body, garment.cloth
    half = body.neck_half_width + _ROLL_WIDER
    roll = body.symmetric(body.corners(_ROLL, wider=_ROLL_WIDER)) * (1 - garment.opening)
    around = (body.u / half).clip(-0.99, 0.99)
    ribs = 0.94 + 0.11 * np.sin(np.arcsin(around) * 46)
    barrel = 0.5 + 0.56 * np.sqrt(1.03 - around**2) - 0.10 * around
    fold = bump(body.v - 0.20 - 0.10 * (1 - around**2), 0, 0.028)
    top = bump(body.v - 0.055 + 0.10 * (body.u / body.neck_half_width) ** 2, 0.03, 0.03)
    tone = (barrel * ribs * (1 - 0.22 * fold) + 0.08 * top) * (1 - 0.3 * cloth.head_shadow)
    rgb = cloth.render(color_of(garment.color), tone.astype(np.float32))
    return sewn.lay(rgb, roll, body.face.px(0.04), 0.55)


def _hoodie(garment: Garment, sewing: Sewing) -> Sewing:
    sewn = _panel(garment, sewing)
    body, cloth = garment.body, garment.cloth
    px = body.face.px
    color = color_of(garment.color)
    # The inside of the hood, behind the neck.
    behind = body.symmetric(body.corners(_HOOD_INSIDE)) * (1 - _neck_column(body))
    dark = np.full(cloth.silhouette.shape, 0.42, np.float32) * (0.8 + 0.4 * smoothstep(body.v, 0.3, -0.3))
    sewn = sewn.lay(cloth.render(color, dark), behind)
    brightest = max(float(cloth.shading.max()), 1e-3)
    sewn = _HOOD_RIM.sewn(garment, sewn, color, pattern=1 - 0.35 * cloth.head_shadow, brightest=brightest)
    cord = color_of("white" if garment.color != "white" else "grey")
    for side in (1, -1):
        path = curve([(side * u, v) for u, v in _HOOD_CORD], 30)
        mask = line(body.face.shape, body.pixels(path), px(0.03))
        knot = line(body.face.shape, body.pixels(path[-4:]), px(0.05))
        mask = np.maximum(mask, knot)
        sewn = sewn.lay(cloth.render(cord, rounded(mask, px(0.02)) * 0.97), mask, px(0.02), 0.6)
    return sewn


def _neck_column(body: BodyFrame) -> Field:
    half = body.neck_half_width
    return smoothstep(np.abs(body.u), half + 0.012, half - 0.012)


def _shirt(garment: Garment, sewing: Sewing) -> Sewing:
    body, cloth = garment.body, garment.cloth
    px = body.face.px
    pattern = "pinstriped" if garment.pattern == "striped" else garment.pattern
    striped = replace(garment, pattern=pattern)
    sewn = _panel(striped, sewing)
    fabric = dyed(cloth, pattern, garment.color, garment.accent)
    # The button band from the opening down.
    band = smoothstep(np.abs(body.u), 0.085, 0.078) * smoothstep(body.v, 0.50, 0.54) * (1 - garment.opening)
    edge = bump(np.abs(body.u), 0.083, 0.010) * smoothstep(body.v, 0.55, 0.62) * (1 - garment.opening)
    sewn = sewn.lay(cloth.render(fabric, cloth.shading * 1.04), band * cloth.silhouette)
    sewn = sewn.shade(0.40 * edge * cloth.silhouette)
    for v in np.arange(0.78, body.bottom, 0.34):
        disc = smoothstep(np.hypot(body.u, body.v - v), 0.030, 0.024)
        holes = smoothstep(np.hypot(np.abs(body.u) - 0.008, body.v - v), 0.007, 0.004)
        tone = rounded(disc, px(0.02)) * (1 - 0.5 * holes)
        sewn = sewn.lay(cloth.render(color_of("white"), tone.astype(np.float32) * 0.96), disc, px(0.012), 0.5)
    return _SHIRT_COLLAR.sewn(garment, sewn, fabric)


def _suit(garment: Garment, sewing: Sewing) -> Sewing:
    body, cloth = garment.body, garment.cloth
    white = np.broadcast_to(color_of("white"), (*cloth.silhouette.shape, 3))
    sewn = _panel(garment, sewing)
    front = body.area(body.corners(_SHIRT_FRONT, below=0.4))
    sewn = sewn.lay(cloth.render(white, cloth.shading * 0.98), front * (1 - garment.opening) * cloth.silhouette)
    sewn = _tie(garment, sewn)
    sewn = _SUIT_COLLAR.sewn(garment, sewn, white)
    return _LAPELS.sewn(garment, sewn, color_of(garment.color))


def _tie(garment: Garment, sewing: Sewing) -> Sewing:
    u, v, color = garment.body.u, garment.body.v, color_of(garment.accent or "red")
    stripes = 1 + 0.18 * np.sign(np.sin((u + v) * 42))
    sewn = _TIE_BLADE.sewn(garment, sewing, color, pattern=stripes)
    return _TIE_KNOT.sewn(garment, sewn, color, pattern=1 - 0.3 * bump(u - 0.25 * (v - 0.5), 0, 0.012))


GARMENTS: dict[str, Cut] = {
    "hoodie": Cut(_hoodie, _Round(0.44, 0.08), loose=0.10),
    "t-shirt": Cut(_t_shirt, _Round(0.50, 0.14), collars={"v-neck": _Vee()}),
    "suit": Cut(_suit, _Placket(0.44), loose=0.07),
    "shirt": Cut(_shirt, _Placket(0.62), loose=0.03),
    "turtleneck": Cut(_turtleneck, _Roll()),
}
"""By the vocabulary's name."""
