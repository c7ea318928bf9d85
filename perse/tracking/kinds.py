"""Kinds of pixels that parsers tell apart: parts as a person would draw them, the whole face as skin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import PartMasks
from perse.shapes import SoftMask

Floats = NDArray[np.float32]


class PixelKind(IntEnum):
    """Kind of a pixel, told by colour and shape; contours of landmarks then divide the skin."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    BEARD = 3
    CLOTHES = 4
    HEADWEAR = 5


KIND_PARTS: dict[PixelKind, tuple[Part, ...]] = {
    PixelKind.BACKGROUND: (Part.BACKGROUND,),
    PixelKind.SKIN: (Part.SKIN, Part.BROWS, Part.EYES, Part.NOSE, Part.MOUTH, Part.EARS, Part.NECK),
    PixelKind.HAIR: (Part.HAIR,),
    PixelKind.BEARD: (Part.BEARD,),
    PixelKind.CLOTHES: (Part.CLOTHES,),
    PixelKind.HEADWEAR: (Part.HEADWEAR,),
}
"""The parts that each kind gathers."""

_WITHIN_SKIN = (Part.MOUTH, Part.EYES, Part.BROWS, Part.NOSE, Part.EARS, Part.NECK)


@dataclass(frozen=True)
class FoundKinds:
    """Result of a parser, before the skin is divided.

    Attributes:
        shares: [k, h, w] in [0, 1], indexed by `PixelKind`; over a pixel they sum to about one.
        person: [h, w] in [0, 1], the matte.
        skin_parts: soft masks by which the skin is divided, in this order: mouth, eyes, brows, nose, ears, neck.
    """

    shares: Float32[NDArray[np.float32], "k h w"]
    person: SoftMask
    skin_parts: dict[Part, SoftMask]

    def masks(self) -> PartMasks:
        """Masks of the parts: contours divide the skin; every pixel's parts sum to 255."""
        soft = np.zeros((len(Part), *self.person.shape), np.float32)
        for kind, parts in KIND_PARTS.items():
            if kind is not PixelKind.SKIN:
                soft[parts[0]] = self.shares[kind]
        rest = self.shares[PixelKind.SKIN]
        for part in _WITHIN_SKIN:
            soft[part] = rest * self.skin_parts[part]
            rest = rest - soft[part]
        soft[Part.SKIN] = rest
        return PartMasks(_quantise(soft), np.round(self.person * 255).astype(np.uint8))


def _quantise(soft: Floats) -> NDArray[np.uint8]:
    """To bytes that sum to 255 exactly: the rounding error goes to each pixel's strongest part."""
    whole = np.round(soft / np.maximum(soft.sum(0), 1e-6) * 255).astype(np.int32)
    strongest = whole.argmax(0)[None]
    missing = 255 - whole.sum(0)
    np.put_along_axis(whole, strongest, np.take_along_axis(whole, strongest, 0) + missing, 0)
    return np.clip(whole, 0, 255).astype(np.uint8)
