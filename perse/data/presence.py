"""Presence of the edited parts in a portrait."""

from __future__ import annotations

from perse.attributes import CATEGORIES, Category, Part
from perse.data.portrait import TrackedPortrait

DECIDING_PARTS: dict[Category, Part] = {
    Category.BEARD: Part.BEARD,
    Category.EARRINGS: Part.EARRINGS,
    Category.HAIR: Part.HAIR,
    Category.HAT: Part.HEADWEAR,
    Category.HEADPHONES: Part.HEADPHONES,
}
"""Parts that a person may lack. Everybody has brows, a mouth, a nose and clothes."""

LEAST_SHARE: dict[Category, float] = {Category.EARRINGS: 0.001}
"""Smallest area that counts, as a share of the squared face width; 2 % where nothing else is said."""


def absent_categories(portrait: TrackedPortrait) -> tuple[Category, ...]:
    """Categories whose part is not in the picture: their reference latent is the shared z_zero (P 4.1)."""
    absent = []
    for category in CATEGORIES:
        part = DECIDING_PARTS.get(category)
        if part is None:
            continue
        if area_share(portrait, part) < least_share(category):
            absent.append(category)
    return tuple(absent)


def area_share(portrait: TrackedPortrait, part: Part) -> float:
    """Area of a part in the picture, squared face widths."""
    return float(portrait.masks.soft[part].sum(dtype=float)) / 255 / portrait.face_width_px**2


def least_share(category: Category) -> float:
    """Area from which on a category's part counts as there, squared face widths."""
    return LEAST_SHARE.get(category, 0.02)
