"""Categories of edits and parts of pictures: the paper's nine categories, and the pixel classes that they touch."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Category(StrEnum):
    """A facial attribute that the avatar's latent space edits (P 4.2, Table 4). The order fixes the rows of z."""

    BEARD = "beard"
    CLOTHES = "clothes"
    EARRINGS = "earrings"
    EYEBROWS = "eyebrows"
    HAIR = "hair"
    HAT = "hat"
    HEADPHONES = "headphones"
    MOUTH = "mouth"
    NOSE = "nose"

    @property
    def index(self) -> int:  # type: ignore[override]  # a row number is what every caller means
        """Row of this category in a latent code z of shape [k, d]."""
        return CATEGORIES.index(self)


CATEGORIES: tuple[Category, ...] = tuple(Category)


class Part(IntEnum):
    """Pixel classes of a portrait or frame. A part map stores them as uint8; a soft mask stack is indexed by them."""

    BACKGROUND = 0
    SKIN = 1
    BROWS = 2
    EYES = 3
    NOSE = 4
    MOUTH = 5
    EARS = 6
    NECK = 7
    HAIR = 8
    BEARD = 9
    CLOTHES = 10
    HEADWEAR = 11
    HEADPHONES = 12
    EARRINGS = 13


CATEGORY_PARTS: dict[Category, tuple[Part, ...]] = {
    Category.BEARD: (Part.BEARD,),
    Category.CLOTHES: (Part.CLOTHES,),
    Category.EARRINGS: (Part.EARRINGS,),
    Category.EYEBROWS: (Part.BROWS,),
    Category.HAIR: (Part.HAIR,),
    Category.HAT: (Part.HEADWEAR, Part.HAIR),
    Category.HEADPHONES: (Part.HEADPHONES,),
    Category.MOUTH: (Part.MOUTH,),
    Category.NOSE: (Part.NOSE,),
}
"""The parts whose pixels, in the edited picture or in the reference, make up the region that an edit may change."""
