"""Covers of the surface: the part masks of a body."""

from __future__ import annotations

from enum import IntEnum


class Cover(IntEnum):
    """Parts of a picture of a body."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    UPPER = 3
    LOWER = 4
    SHOES = 5


PALETTE = ((255, 255, 255), (238, 190, 160), (110, 70, 40), (70, 120, 190), (70, 90, 70), (40, 40, 40))
"""Colours of the part masks in pictures for people, 0…255, indexed by `Cover`."""
