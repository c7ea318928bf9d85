"""Earrings: hoops, studs, drops and chandeliers at the fitted ear lobes.

Sizes are generous on purpose: a clip is 256 pixels wide and a head 80 of them, so that a true-to-life stud of six
millimetres would be three pixels. Each earring hangs straight down at rest and turns with the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt
from perse.errors import PromptError
from perse.synthesis.procedural.attachments import textures
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.attachments.surfaces import Finish, Surface, ball, join, lathe, ring, tube, unit
from perse.synthesis.prompts import complete
from perse.synthesis.prompts.palette import METALS, STONES

FloatArray = NDArray[np.float64]

_METAL = Finish(gloss=0.85, exponent=14)
_STONE = Finish(gloss=0.50, exponent=26)
_PEARL = Finish(gloss=0.30, exponent=12)
_DOWN = np.array([0.0, -1.0, 0.0])
_SIZES = {"small": 0.85, "medium": 1.0, "large": 1.4}


def build_earrings(skull: Skull, prompt: AttributePrompt, lift_m: float = 0.0) -> tuple[Attachment, ...]:
    """A pair of the earrings that the prompt describes.

    Args:
        lift_m: how far outside and in front of the lobes they hang, where hair covers the ears.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    if prompt.category is not Category.EARRINGS:
        raise PromptError(f"expected earrings, got a prompt for {prompt.category.value}")
    slots = complete(Category.EARRINGS, dict(prompt.attributes))
    build = {"hoop": _hoop, "stud": _stud, "drop": _drop, "chandelier": _chandelier}[slots["kind"]]
    metal: list[Surface] = []
    stone: list[Surface] = []
    for side, sign in enumerate((1.0, -1.0)):
        hanger = _Hanger.at(skull, side, sign, lift_m, _SIZES[slots["size"]])
        of_metal, of_stone = build(hanger)
        metal += of_metal
        stone += of_stone
    made = [join("earring metal", Part.EARRINGS, metal, textures.plain(_burnished(slots["metal"])), _METAL)]
    if stone:
        jewel = slots["stone"]
        if jewel == "pearl":
            made.append(join("pearls", Part.EARRINGS, stone, textures.plain(STONES[jewel]), _PEARL))
        else:
            made.append(join("stones", Part.EARRINGS, stone, textures.faceted(STONES[jewel]), _STONE))
    return tuple(made)


def _burnished(metal: str) -> textures.Rgb:
    """Metals are seen by what they mirror: their own colour is kept a little down to leave room for it."""
    red, green, blue = METALS[metal]
    return int(red * 0.86), int(green * 0.86), int(blue * 0.86)


@dataclass(frozen=True)
class _Hanger:
    """Where an earring is fixed, and how large it is.

    Attributes:
        mm: one millimetre of this size of jewellery, metres.
        lobe: [3], the front of the ear lobe.
        outwards: [3] unit, away from the cheek and a little to the front.
        sign: +1 at the person's left, −1 at the right.
    """

    mm: float
    lobe: FloatArray
    outwards: FloatArray
    sign: float

    @classmethod
    def at(cls, skull: Skull, side: int, sign: float, lift_m: float, size: float) -> _Hanger:
        mm = 0.001 * skull.scale
        outwards = unit(np.array([sign, 0.0, 0.55]))
        lobe = skull.lobes[side] + np.array([sign * 0.5, 3.0, 5.0]) * mm + lift_m * np.array([sign, 0.0, 0.6])
        return cls(mm * size, lobe, outwards, sign)

    def bead(self, radius_mm: float, out_mm: float = 2.0, down_mm: float = 0.0) -> Surface:
        radius = radius_mm * self.mm
        return ball(self.below(down_mm, out_mm), (radius, radius, radius), rings=12, segments=20)

    def below(self, down_mm: float, out_mm: float = 2.0) -> FloatArray:
        """A point under the lobe."""
        return self.lobe + self.mm * (out_mm * self.outwards + down_mm * _DOWN)

    def hanging(
        self, down_mm: float, profile: Sequence[tuple[float, float]], *, shift: FloatArray | None = None
    ) -> Surface:
        """A shape turned about the vertical: pairs (millimetres further down, radius in millimetres)."""
        base = self.below(down_mm) + (0 if shift is None else shift)
        scaled = [(down * self.mm, radius * self.mm) for down, radius in profile]
        return lathe(base, _DOWN, scaled, segments=18, upright=np.array([0.0, 0.0, 1.0]))


Pieces = tuple[list[Surface], list[Surface]]


def _hoop(hanger: _Hanger) -> Pieces:
    """A ring turned halfway to the viewer: seen from the front it is an ellipse, from the side a circle."""
    radius = 19 * hanger.mm
    normal = unit(np.array([hanger.sign * 0.72, 0.0, 0.70]))
    centre = hanger.below(0.0, 2.0) + _DOWN * radius * 0.96
    return [tube(ring(centre, normal, radius), 2.8 * hanger.mm, segments=12)], []


def _stud(hanger: _Hanger) -> Pieces:
    base = hanger.below(0.0, 0.0)
    setting = [(0.0, 0.0), (0.0, 7.6), (2.2, 7.8), (3.2, 6.4)]
    scaled = [(along * hanger.mm, radius * hanger.mm) for along, radius in setting]
    return [lathe(base, hanger.outwards, scaled, segments=24)], [hanger.bead(6.2, out_mm=4.2)]


def _drop(hanger: _Hanger) -> Pieces:
    pear = [(0, 0.0), (1, 1.4), (6, 3.6), (12, 6.6), (17, 8.0), (21.5, 7.4), (25, 4.6), (27, 0.0)]
    cap = [(-1.5, 0.0), (-1.2, 2.0), (1.5, 3.4), (3.2, 3.0)]
    wire = [(0, 1.0), (11, 1.0)]
    return [hanger.bead(3.6), hanger.hanging(1.0, wire), hanger.hanging(11.5, cap)], [hanger.hanging(12.0, pear)]


def _chandelier(hanger: _Hanger) -> Pieces:
    """A half-moon plate with three tiers of beads below it."""
    mm = hanger.mm
    across = unit(np.array([hanger.sign * 0.62, 0.0, -0.78]))  # the plate faces half to the front
    facing = unit(np.cross(across, _DOWN))
    moon = [(-0.9, 0.0), (-0.8, 9.0), (0, 10.6), (0.8, 9.0), (0.9, 0.0)]
    plate = lathe(hanger.below(12.0), facing, [(a * mm, r * mm) for a, r in moon], segments=28, stretch=(1.0, 0.85))
    metal, stone = [hanger.bead(4.0), plate], [hanger.bead(3.4, out_mm=4.4), hanger.bead(4.4, out_mm=5.0, down_mm=12.0)]
    lengths = {-9.5: 8.0, -4.8: 13.0, 0.0: 17.0, 4.8: 13.0, 9.5: 8.0}
    for offset, length in lengths.items():
        shift = offset * mm * across
        start = 12.0 + 8.6 * np.sqrt(max(1 - (offset / 10.6) ** 2, 0.05))
        metal.append(hanger.hanging(start, [(0, 0.9), (length, 0.9)], shift=shift))
        bead = [(0, 0.0), (0.8, 1.2), (3.6, 3.0), (6.2, 2.6), (8.0, 0.0)]
        stone.append(hanger.hanging(start + length - 2.0, bead, shift=shift))
    return metal, stone
