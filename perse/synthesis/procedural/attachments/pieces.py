"""Pieces of hats, headphones and earrings, and the way from a row of them to attachments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt
from perse.errors import PromptError
from perse.synthesis.procedural.attachments.surfaces import Finish, Surface, join, unit
from perse.synthesis.procedural.attachments.textures import Rgb, Texture
from perse.synthesis.prompts import complete
from perse.synthesis.prompts.palette import FABRIC

Shape = TypeVar("Shape", covariant=True)

Slots = Mapping[str, str]
"""What a prompt asks for, by slot."""
Coat = Callable[[Slots], Texture]
"""The texture of a piece, from what the prompt asks for."""
Profile = tuple[tuple[float, float], ...]
"""Pairs of the way along an axis and the size there, millimetres unless told otherwise."""


@dataclass(frozen=True)
class Piece(Generic[Shape]):
    """Part of a worn thing that has one material.

    Attributes:
        coat: makes its texture.
        place: what it is of the thing, where its name does not say it: what two kinds have at one place corresponds.
        only: the piece is there only if the prompt asks for one of these values in this slot.
        woolly: the ends of wool pass light on.
        casts_shadow: whether it darkens what is below; one layer of several suffices.
    """

    name: str
    shapes: tuple[Shape, ...]
    coat: Coat
    finish: Finish = field(default_factory=Finish)
    place: str = ""
    only: tuple[str, frozenset[str]] | None = None
    woolly: bool = False
    casts_shadow: bool = True

    def asked(self, slots: Slots) -> bool:
        return self.only is None or slots.get(self.only[0]) in self.only[1]


def dyed(texture: Callable[[Rgb], Texture], slot: str = "color", palette: Mapping[str, Rgb] = FABRIC) -> Coat:
    """A texture in the colour of a slot; in the thing's own where the prompt has no such slot."""
    return lambda slots: texture(palette[slots.get(slot) or slots["color"]])


def always(texture: Callable[[Rgb], Texture], color: Rgb) -> Coat:
    """A texture in one colour, whatever the prompt says."""
    return lambda _: texture(color)


def slots_of(prompt: AttributePrompt, category: Category) -> dict[str, str]:
    """Slots of a prompt, every one filled.

    Raises:
        PromptError: of another category, or a slot or value that is not in the vocabulary.
    """
    if prompt.category is not category:
        raise PromptError(f"expected a prompt for {category.value}, got one for {prompt.category.value}")
    return complete(category, dict(prompt.attributes))


def put_together(
    pieces: Sequence[Piece[Shape]], slots: Slots, part: Part, surfaces: Callable[[Piece[Shape]], list[Surface]]
) -> tuple[Attachment, ...]:
    """The pieces that are asked for; `surfaces` lays one out on a head."""
    return tuple(_made(piece, slots, part, surfaces(piece)) for piece in pieces if piece.asked(slots))


def _made(piece: Piece[Shape], slots: Slots, part: Part, surfaces: list[Surface]) -> Attachment:
    made = join(piece.name, part, surfaces, piece.coat(slots), piece.finish, casts_shadow=piece.casts_shadow)
    return replace(made, normals=_scattering(made.normals)) if piece.woolly else made


def _scattering(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Wool ends point everywhere and pass light on: their normals lean towards where light usually comes from."""
    return unit(0.55 * normals + np.array([0.0, 0.35, 0.5])).astype(np.float32)
