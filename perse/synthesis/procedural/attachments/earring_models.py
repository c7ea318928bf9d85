"""Table of earrings: their shapes and materials. Lengths are millimetres of medium jewellery on an average head.

A new kind is a row here and its name in the vocabulary (`perse/synthesis/prompts/vocabulary.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from perse.synthesis.procedural.attachments.pieces import Piece, Profile, dyed
from perse.synthesis.procedural.attachments.surfaces import Finish
from perse.synthesis.procedural.attachments.textures import Rgb, Texture, faceted, plain
from perse.synthesis.prompts.palette import METALS, STONES


@dataclass(frozen=True)
class Bead:
    """A ball under the lobe: how far outside it, how far below."""

    radius: float
    out: float = 2.0
    down: float = 0.0


@dataclass(frozen=True)
class Hoop:
    """A wire ring, turned halfway to the viewer: seen from the front it is an ellipse, from the side a circle."""

    radius: float
    wire: float


@dataclass(frozen=True)
class Setting:
    """A shape turned about the direction out of the lobe, on the skin."""

    profile: Profile


@dataclass(frozen=True)
class Hanging:
    """A shape turned about the vertical, so far below the lobe; `across` moves it within a chandelier's plate."""

    down: float
    profile: Profile
    across: float = 0.0


@dataclass(frozen=True)
class Plate:
    """A disc that faces half to the front, hanging so far below the lobe."""

    down: float
    profile: Profile


Shape = Bead | Hoop | Setting | Hanging | Plate


_METAL = Finish(gloss=0.85, exponent=14)
_STONE = Finish(gloss=0.50, exponent=26)
_PEARL = Finish(gloss=0.30, exponent=12)
_CUT = frozenset(STONES) - {"pearl"}


def _burnished(metal: Rgb) -> Texture:
    """Metals are seen by what they mirror: their own colour is kept a little down to leave room for it."""
    red, green, blue = metal
    return plain((int(red * 0.86), int(green * 0.86), int(blue * 0.86)))


def _jewel(*, metal: tuple[Shape, ...], stone: tuple[Shape, ...] = ()) -> tuple[Piece[Shape], ...]:
    """What is of metal, and what is of stone or pearl."""
    made = (Piece("earring metal", metal, dyed(_burnished, "metal", METALS), _METAL, "metal"),)
    if not stone:
        return made
    pearls = Piece("pearls", stone, dyed(plain, "stone", STONES), _PEARL, "stone", ("stone", frozenset({"pearl"})))
    return (*made, pearls, Piece("stones", stone, dyed(faceted, "stone", STONES), _STONE, "stone", ("stone", _CUT)))


def _tiers(radius: float, lengths: dict[float, float]) -> Iterator[tuple[Hanging, Hanging]]:
    """Wires of given lengths along the lower edge of a half-moon plate, and the bead at the end of each."""
    bead = ((0, 0.0), (0.8, 1.2), (3.6, 3.0), (6.2, 2.6), (8.0, 0.0))
    for across, length in lengths.items():
        start = 12.0 + 8.6 * np.sqrt(max(1 - (across / radius) ** 2, 0.05))
        yield Hanging(start, ((0, 0.9), (length, 0.9)), across), Hanging(start + length - 2.0, bead, across)


_TIERS = tuple(_tiers(10.6, {-9.5: 8.0, -4.8: 13.0, 0.0: 17.0, 4.8: 13.0, 9.5: 8.0}))

EARRING_MODELS: dict[str, tuple[Piece[Shape], ...]] = {
    "hoop": _jewel(metal=(Hoop(19, 2.8),)),
    "stud": _jewel(
        metal=(Setting(((0, 0.0), (0, 7.6), (2.2, 7.8), (3.2, 6.4))),), stone=(Bead(6.2, out=4.2),)
    ),
    "drop": _jewel(
        metal=(
            Bead(3.6),
            Hanging(1.0, ((0, 1.0), (11, 1.0))),
            Hanging(11.5, ((-1.5, 0.0), (-1.2, 2.0), (1.5, 3.4), (3.2, 3.0))),
        ),
        stone=(
            Hanging(
                12.0, ((0, 0.0), (1, 1.4), (6, 3.6), (12, 6.6), (17, 8.0), (21.5, 7.4), (25, 4.6), (27, 0.0))
            ),
        ),
    ),
    # A half-moon plate with three tiers of beads below it.
    "chandelier": _jewel(
        metal=(
            Bead(4.0),
            Plate(12.0, ((-0.9, 0.0), (-0.8, 9.0), (0, 10.6), (0.8, 9.0), (0.9, 0.0))),
            *(wire for wire, _ in _TIERS),
        ),
        stone=(Bead(3.4, out=4.4), Bead(4.4, out=5.0, down=12.0), *(bead for _, bead in _TIERS)),
    ),
}  # fmt: skip
