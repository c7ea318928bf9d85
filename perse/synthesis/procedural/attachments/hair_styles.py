"""What a hair prompt asks for, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from perse.data import AttributePrompt
from perse.errors import PromptError
from perse.synthesis.procedural.attachments.hair_colors import HairColor, hair_color

STYLES = ("loose", "bob", "fringe", "afro", "ponytail", "cropped", "buzz", "bun", "bald")
"""Everything that changes the shape of hair."""

_FALL_M = {"short": 0.062, "shoulder": 0.165, "long": 0.270}
_SIDE_PARTING_DEG = 27.0


@dataclass(frozen=True)
class HairRequest:
    """A hair prompt with every slot filled.

    Attributes:
        style: one of `STYLES`.
        color: of the strands.
        texture: "straight", "wavy" or "curly".
        fall: length below the ears of loose hair, metres on an average head.
        parting: azimuth of the parting, degrees.
        short: for afros: cut close.
        seed: of everything random.
    """

    style: str
    color: HairColor
    texture: str
    fall: float
    parting: float
    short: bool
    seed: int


def hair_request(prompt: AttributePrompt) -> HairRequest:
    """Read a prompt; slots that it leaves out take their usual value.

    Raises:
        PromptError: a value that is not known, or no style.
    """
    style = prompt.get("style", "loose")
    if style not in STYLES:
        raise PromptError(f"{prompt.key}: unknown hair style {style!r}: choose one of {', '.join(STYLES)}")
    texture = prompt.get("texture", "straight")
    if texture not in ("straight", "wavy", "curly"):
        raise PromptError(f"{prompt.key}: unknown hair texture {texture!r}: choose straight, wavy or curly")
    length = prompt.get("length", "medium" if style == "afro" else "long")
    if style in ("loose", "fringe") and length not in _FALL_M:
        raise PromptError(f"{prompt.key}: unknown hair length {length!r}: choose one of {', '.join(_FALL_M)}")
    # Which side a side parting is on is left to chance: the prompt does not say.
    side = 1 if prompt.seed % 2 else -1
    return HairRequest(
        style=style,
        color=hair_color(prompt.get("color", "brown")),
        texture=texture,
        fall=0.098 if style == "bob" else _FALL_M.get(length, 0.2),
        parting=side * _SIDE_PARTING_DEG if prompt.get("parting") == "side" else side * 4.0,
        short=length == "short",
        seed=prompt.seed,
    )
