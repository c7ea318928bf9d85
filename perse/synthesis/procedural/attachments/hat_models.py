"""Table of hats: their shapes and materials. Lengths are millimetres on an average head.

A new kind is a row here and its name in the vocabulary (`perse/synthesis/prompts/vocabulary.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from perse.curves import ramp
from perse.synthesis.procedural.attachments import textures
from perse.synthesis.procedural.attachments.pieces import Piece, Profile, Slots, dyed
from perse.synthesis.procedural.attachments.skull import Skull, directions
from perse.synthesis.procedural.attachments.surfaces import Finish
from perse.synthesis.procedural.attachments.textures import Rgb, Texture
from perse.synthesis.prompts.palette import FABRIC

Heights = Callable[[Float[np.ndarray, "r 1"], Float[np.ndarray, " c"]], Float[np.ndarray, "r c"]]
"""Millimetres by the way along a piece, [rows, 1] in [0, 1], and the azimuth [c], 0 at the front."""


@dataclass(frozen=True)
class RimPlane:
    """Plane of a hat's rim: everything of the head above it is inside the hat.

    Attributes:
        front, back: heights at the forehead and at the back of the head, as fractions of the way from eyes to crown.
        cuff_m: how far the hat stands off the head at its rim, on an average head; hair can hide behind that much.
    """

    front: float
    back: float
    cuff_m: float = 0.005

    def height_above(
        self, skull: Skull, points: Float[NDArray[np.float64], "*n 3"]
    ) -> Float[NDArray[np.float64], "*n"]:
        """Height of points [..., 3] above the plane, metres, measured straight up."""
        height, share = rim_shares(skull, points)
        rise = skull.crown_y - skull.eye_y
        return np.asarray(rise * (height - (self.back + (self.front - self.back) * share)))


def rim_shares(
    skull: Skull, points: Float[NDArray[np.float64], "*n 3"]
) -> tuple[Float[NDArray[np.float64], "*n"], Float[NDArray[np.float64], "*n"]]:
    """Shares of points [..., 3]: height, 0 at the eyes and 1 at the crown, and place, 0 at the back and 1 at the
    forehead."""
    reach = float(skull.radius(directions(0.0, np.deg2rad(15.0))))
    height = (points[..., 1] - skull.eye_y) / (skull.crown_y - skull.eye_y)
    return height, 0.5 + 0.5 * (points[..., 2] - skull.centre[2]) / reach


@dataclass(frozen=True)
class Dome:
    """A soft crown of the skull's own shape: how high above the skin, and how far its top slouches backwards."""

    lift: Heights
    slouch: float = 0.0


@dataclass(frozen=True)
class Cuff:
    """A turned-up edge: pairs of height above the rim and lift off the skin, inside, fold and outside."""

    section: Profile


@dataclass(frozen=True)
class Crown:
    """A stiff crown, the rim's outline pushed up: pairs of height and size relative to the rim.

    Attributes:
        inside: height of the point on the axis that its surface turns away from.
        pinch: millimetres by which it is pressed in from above.
    """

    profile: Profile
    inside: float = 0.0
    pinch: Heights | None = None


@dataclass(frozen=True)
class Brim:
    """A ring around the rim: how far out, and how much it rises on the way."""

    width: float
    rise: Heights


@dataclass(frozen=True)
class Visor:
    """A curved plate at the front: half its angle in degrees, how far forwards, how much lower tip and sides are."""

    half_angle: float
    reach: float
    drop: float
    bend: float


@dataclass(frozen=True)
class Button:
    """A ball on top of the dome: half axes, and how high its centre is."""

    radii: tuple[float, float, float]
    rise: float


@dataclass(frozen=True)
class Pompom:
    """A bumpy ball of wool on top of the dome; several of growing size make it soft."""

    radius: float
    size: float
    shade: float


@dataclass(frozen=True)
class Band:
    """A ribbon around a stiff crown."""

    height: float


@dataclass(frozen=True)
class Bow:
    """A flat bow on the band at the person's left."""

    height: float


Shape = Dome | Cuff | Crown | Brim | Visor | Button | Pompom | Band | Bow


@dataclass(frozen=True)
class HatModel:
    """A kind of hat. Its first piece is what covers the head."""

    rim: RimPlane
    pieces: tuple[Piece[Shape], ...]


_COTTON = Finish(gloss=0.05, exponent=14)
_FELT = Finish(gloss=0.04, exponent=10)
_SILK = Finish(gloss=0.30, exponent=9)
_RIBBON = Finish(gloss=0.12, exponent=18)
_BAND = dyed(textures.ribbon, "band")
_WHITE: Rgb = (236, 234, 229)
_STRAW = {"yellow": (222, 186, 120), "brown": (168, 118, 70)}
"""Colours that straw has; wide-brimmed hats of other colours are felt."""


def _knit(slots: Slots) -> Texture:
    color = FABRIC[slots["color"]]
    return textures.knit(color, stripe=textures.contrasting(color) if slots.get("detail") == "striped" else None)


def _panels(slots: Slots) -> Texture:
    front = _WHITE if slots.get("detail") == "two-tone" else None  # as its sentence says
    return textures.panels(FABRIC[slots["color"]], front)


def _straw_or_felt(slots: Slots) -> Texture:
    name = slots["color"]
    return textures.straw(_STRAW[name]) if name in _STRAW else textures.felt(FABRIC[name])


def _pompom(number: int, size: float, coverage: float) -> Piece[Shape]:
    wool = dyed(lambda color: textures.fluff(textures.contrasting(color), coverage=coverage, seed=20 + number))
    shapes = (Pompom(27, size, 0.90 + 0.05 * number),)
    only = ("detail", frozenset({"pompom"}))
    return Piece(f"pompom {number}", shapes, wool, only=only, woolly=True, casts_shadow=number == 0)


def _slack(way: Float[np.ndarray, "r 1"], azimuth: Float[np.ndarray, " c"]) -> Float[np.ndarray, "r c"]:
    """Knitted cloth: loose towards the top, in five folds at the rim."""
    slack = 11 + 15 * ramp((way - 0.1) / 0.6) + 5 * ramp((way - 0.85) / 0.15)
    return slack + 1.0 * np.sin(5 * azimuth + 1) * ramp(way * 4) * (1 - way)


def _tall_front(way: Float[np.ndarray, "r 1"], azimuth: Float[np.ndarray, " c"]) -> Float[np.ndarray, "r c"]:
    front = 0.55 + 0.45 * np.cos(azimuth)
    return 8 + 18 * ramp(way / 0.55) * front + 4 * (1 - front)


def _telescope(way: Float[np.ndarray, "r 1"], azimuth: Float[np.ndarray, " c"]) -> Float[np.ndarray, "r c"]:
    """A crease around the top, deepest at the front."""
    crease = 16 * ramp((way - 0.62) / 0.3) * (0.35 + 0.65 * np.abs(np.cos(azimuth)))
    return crease * (0.6 + 0.4 * np.clip(np.cos(azimuth), 0, 1))


def _rounded(height: float) -> Profile:
    """Nearly upright sides, a soft shoulder, a flat top."""
    turn = np.linspace(0, 1, 24)
    side = turn < 0.55
    rise = np.where(side, turn / 0.55 * 0.78, 0.78 + 0.22 * np.sin(np.clip((turn - 0.55) / 0.30, 0, 1) * np.pi / 2))
    shoulder = np.clip((turn - 0.55) / 0.45, 0, 1)
    size = np.where(side, 1.0 - 0.09 * turn / 0.55, 0.91 * np.sqrt(np.clip(1 - shoulder**2.6, 0, 1)))
    return tuple(zip(height * rise, size, strict=True))


def _waisted(height: float) -> Profile:
    way = np.linspace(0, 1, 18)
    return tuple(zip(height * way, 1.0 - 0.055 * np.sin(np.pi * way) + 0.045 * way, strict=True))


HAT_MODELS: dict[str, HatModel] = {
    "beanie": HatModel(
        RimPlane(front=0.47, back=-0.35, cuff_m=0.014),
        (
            Piece("beanie", (Dome(_slack, slouch=14),), _knit),
            Piece(
                "beanie cuff",
                (Cuff(((6, 2), (1, 4), (-1, 9), (0, 14.5), (4, 18.5), (11, 20.5), (18, 21), (25, 20.5), (30, 19),
                       (32.5, 16), (32, 12), (29, 9))),),
                dyed(textures.ribbing),
            ),
            *(_pompom(*layer) for layer in ((0, 0.92, 1.0), (1, 1.0, 0.55), (2, 1.06, 0.25))),
        ),
    ),
    "cap": HatModel(
        RimPlane(front=0.64, back=0.06),
        (
            Piece("cap", (Dome(_tall_front),), _panels, _COTTON),
            # Its tip is 28 mm below its root: less, and it is edge-on in a frontal portrait.
            Piece(
                "cap brim", (Visor(68, 78, 28, 15), Button((7, 3.5, 7), 1.5)), dyed(textures.stitched), _COTTON
            ),
        ),
    ),
    "wide brim": HatModel(
        RimPlane(front=0.50, back=0.20),
        (
            Piece("hat crown", (Crown(_rounded(92.0), pinch=_telescope),), _straw_or_felt, _FELT),
            Piece(
                "hat brim",
                (Brim(88, lambda s, a: -16 * s**1.5 + 5 * s * np.sin(3 * a + 0.8) + 3 * s * np.sin(5 * a)),),
                _straw_or_felt,
                _FELT,
            ),
            Piece("hat band", (Band(24),), _BAND, _RIBBON),
            Piece("hat bow", (Bow(24),), _BAND, _RIBBON),
        ),
    ),
    "top hat": HatModel(
        RimPlane(front=0.53, back=0.27),
        (
            Piece(
                "top hat",
                (
                    Crown(_waisted(100.0), inside=50),
                    Crown(((100, 1.045), (101.5, 1.03), (101, 0.97), (100, 0.6), (100, 0.0)), inside=50),
                ),
                dyed(textures.silk),
                _SILK,
            ),
            Piece(
                "top hat brim",
                (Brim(38, lambda s, a: 26 * s**2 * np.sin(a) ** 2 - 5 * s * np.cos(a) ** 2),),
                dyed(textures.silk),
                _SILK,
            ),
            Piece("top hat band", (Band(22),), _BAND, _RIBBON),
        ),
    ),
}  # fmt: skip
