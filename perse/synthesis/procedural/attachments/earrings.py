"""Earrings: how the shapes of a model (`earring_models`) hang from the fitted ear lobes.

Sizes are generous on purpose: a clip is 256 pixels wide and a head 80 of them, so that a true-to-life stud of six
millimetres would be three pixels. Each earring hangs straight down at rest and turns with the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt
from perse.synthesis.procedural.attachments.earring_models import (
    EARRING_MODELS,
    Bead,
    Hanging,
    Hoop,
    Plate,
    Setting,
    Shape,
)
from perse.synthesis.procedural.attachments.pieces import Piece, put_together, slots_of
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.attachments.surfaces import Surface, ball, lathe, ring, tube, unit

_DOWN = np.array([0.0, -1.0, 0.0])
_SIZES = {"small": 0.85, "medium": 1.0, "large": 1.4}


def build_earrings(skull: Skull, prompt: AttributePrompt, lift_m: float = 0.0) -> tuple[Attachment, ...]:
    """A pair of the earrings that the prompt describes.

    Args:
        lift_m: how far outside and in front of the lobes they hang, where hair covers the ears.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    slots = slots_of(prompt, Category.EARRINGS)
    size = _SIZES[slots["size"]]
    hangers = [_Hanger.at(skull, side, sign, lift_m, size) for side, sign in enumerate((1.0, -1.0))]

    def surfaces(piece: Piece[Shape]) -> list[Surface]:
        return [hanger.hung(shape, piece.place) for hanger in hangers for shape in piece.shapes]

    return put_together(EARRING_MODELS[slots["kind"]], slots, Part.EARRINGS, surfaces)


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
    lobe: Float[NDArray[np.float64], "3"]
    outwards: Float[NDArray[np.float64], "3"]
    sign: float

    @classmethod
    def at(cls, skull: Skull, side: int, sign: float, lift_m: float, size: float) -> _Hanger:
        mm = 0.001 * skull.scale
        outwards = unit(np.array([sign, 0.0, 0.55]))
        lobe = skull.lobes[side] + np.array([sign * 0.5, 3.0, 5.0]) * mm + lift_m * np.array([sign, 0.0, 0.6])
        return cls(mm * size, lobe, outwards, sign)

    @property
    def across(self) -> Float[NDArray[np.float64], "3"]:
        """Along a plate that faces half to the front."""
        return unit(np.array([self.sign * 0.62, 0.0, -0.78]))

    def below(self, down_mm: float, out_mm: float = 2.0) -> Float[NDArray[np.float64], "3"]:
        """A point under the lobe."""
        return self.lobe + self.mm * (out_mm * self.outwards + down_mm * _DOWN)

    def hung(self, shape: Shape, material: str) -> Surface:
        """A shape, and where it belongs."""
        place = f"{material} {type(shape).__name__.lower()} {'left' if self.sign > 0 else 'right'}"
        return self.surface(shape).at(place, root=self.lobe)

    def surface(self, shape: Shape) -> Surface:
        mm = self.mm
        match shape:
            case Bead(radius, out, down):
                return ball(self.below(down, out), (radius * mm, radius * mm, radius * mm), rings=12, segments=20)
            case Hoop(radius, wire):
                normal = unit(np.array([self.sign * 0.72, 0.0, 0.70]))
                centre = self.below(0.0, 2.0) + _DOWN * (radius * mm) * 0.96
                return tube(ring(centre, normal, radius * mm), wire * mm, segments=12)
            case Setting(profile):
                return lathe(self.below(0.0, 0.0), self.outwards, profile, segments=24, unit_m=mm)
            case Hanging(down, profile, across):
                base = self.below(down) + across * mm * self.across
                return lathe(base, _DOWN, profile, segments=18, upright=np.array([0.0, 0.0, 1.0]), unit_m=mm)
            case Plate(down, profile):
                facing = unit(np.cross(self.across, _DOWN))
                return lathe(self.below(down), facing, profile, segments=28, stretch=(1.0, 0.85), unit_m=mm)
