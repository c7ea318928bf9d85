"""Table of headphones: their shapes and materials. Lengths are millimetres on an average head.

A new kind is a row here and its name in the vocabulary (`perse/synthesis/prompts/vocabulary.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from perse.synthesis.procedural.attachments.pieces import Piece, Profile, always, dyed
from perse.synthesis.procedural.attachments.surfaces import Finish
from perse.synthesis.procedural.attachments.textures import foam, plain


@dataclass(frozen=True)
class Bar:
    """Bar along the band: from which of its 69 points to which, how high above what it clears, how far to the front."""

    half_width: float
    half_thickness: float
    lift: float
    part: tuple[int | None, int | None] = (None, None)
    shift: float = 0.0


@dataclass(frozen=True)
class Cup:
    """Lathed shape on both cups' axes: pairs of way outwards and radius; an oval unless told otherwise."""

    profile: Profile
    stretch: tuple[float, float] = (0.88, 1.06)


@dataclass(frozen=True)
class Yoke:
    """Yoke from both ends of the band down to the outside of the cups."""

    out: float
    half_width: float
    half_thickness: float


@dataclass(frozen=True)
class Boom:
    """A tube from the left cup to the corner of the mouth."""

    radius: float


@dataclass(frozen=True)
class Microphone:
    """A ball at the end of the boom."""

    radii: tuple[float, float, float]


Shape = Bar | Cup | Yoke | Boom | Microphone


_PLASTIC = Finish(gloss=0.26, exponent=18)
_PADDING = Finish(gloss=0.08, exponent=8)
_METAL = Finish(gloss=0.55, exponent=20)


_PAINTED, _ACCENTED, _FOAM = dyed(plain), dyed(plain, "accent"), dyed(foam)
_STEEL, _LEATHER, _BLACK = always(plain, (118, 122, 130)), always(plain, (42, 40, 42)), always(plain, (34, 34, 38))
_BLACK_FOAM = always(foam, (30, 30, 32))

_CIRCLE = (1.0, 1.0)

HEADPHONE_MODELS: dict[str, tuple[Piece[Shape], ...]] = {
    # Large closed cups, a padded band.
    "studio": (
        Piece("headband", (Bar(13, 4.5, 7),), _PAINTED, _PLASTIC),
        Piece("headband pad", (Bar(11, 4, 1.5, (14, 55)),), _LEATHER, _PADDING),
        Piece("yokes", (Yoke(24, 6, 3),), _STEEL, _METAL),
        Piece("cushions", (Cup(((-2, 18), (-4, 29), (-1, 36), (4, 39.5), (10, 39), (14, 36))),), _LEATHER, _PADDING),
        Piece("cups", (Cup(((12, 36), (14, 38.5), (21, 38), (28, 34.5), (31.5, 28.5))),), _PAINTED, _PLASTIC),
        Piece("plates", (Cup(((31, 29.5), (32.3, 27), (31.5, 24.5), (32.5, 20), (33, 0.0))),), _ACCENTED, _PLASTIC),
    ),
    # A thin steel band with round foam pads, worn on the ear.
    "retro": (
        Piece("headband", (Bar(6.5, 2.2, 6),), _STEEL, _METAL),
        Piece("sleeve", (Bar(9.5, 3.6, 6, (22, 47)),), _ACCENTED, _PLASTIC, place="headband pad"),
        Piece("yokes", (Yoke(17, 3.5, 1.6),), _STEEL, _METAL),
        Piece(
            "foam",
            (Cup(((-1, 0.0), (-1, 20), (2, 27), (7, 29.5), (12, 28), (15, 24)), _CIRCLE),),
            _FOAM,
            _PADDING,
            place="cushions",
        ),
        Piece(
            "caps",
            (Cup(((13, 27), (15, 28.5), (19, 27), (21, 22), (21.4, 0.0)), _CIRCLE),),
            _PAINTED,
            _PLASTIC,
            place="cups",
        ),
        Piece("dots", (Cup(((21, 12.5), (23.2, 11.5), (23.6, 0.0)), _CIRCLE),), _ACCENTED, _PLASTIC, place="plates"),
    ),
    # Angular cups with a lit ring, a double band and a microphone on a boom.
    "gaming": (
        Piece("headband", (Bar(6, 4, 8, shift=8), Bar(6, 4, 8, shift=-8)), _PAINTED, _PLASTIC),
        Piece("headband pad", (Bar(16, 4, 2.5, (6, 63)),), _LEATHER, _PADDING),
        Piece("yokes", (Yoke(22, 9, 4),), _PAINTED, _PLASTIC),
        Piece("cushions", (Cup(((-2, 20), (-4, 32), (0, 40), (7, 42.5), (13, 41))),), _LEATHER, _PADDING),
        Piece("cups", (Cup(((12, 40), (13, 43), (20, 43), (28, 38), (30, 31))),), _PAINTED, _PLASTIC),
        Piece("rings", (Cup(((29, 33), (31.5, 32), (31.8, 27), (30.5, 25))),), _ACCENTED, _PLASTIC, place="plates"),
        Piece("grilles", (Cup(((30, 26), (31, 24), (31, 0.0))),), _BLACK, _PADDING),
        Piece("boom", (Boom(2.4),), _BLACK, _PLASTIC),
        Piece("microphone", (Microphone((8.5, 6.5, 6.5)),), _BLACK_FOAM, _PADDING),
    ),
}
