"""Hair colours: the albedo of a strand, and the tones of a recoloured photograph."""

from __future__ import annotations

from dataclasses import dataclass

from perse.errors import PromptError


@dataclass(frozen=True, kw_only=True)
class HairColor:
    """One hair colour, for 3D strands and for recolouring photographed hair."""

    albedo: tuple[int, int, int]
    """RGB of a strand in full light, 0 to 255."""
    root: float
    """How bright the roots are relative to the albedo: little contrast for black, much for blonde."""
    highlight: float
    """Strength of the strand highlight in 0..255 units: dark hair shines relatively more."""
    lightness: tuple[float, float, float]
    """CIE L at the 2nd, 50th and 98th percentile of recoloured hair (read off photographs, by eye)."""
    chroma: tuple[float, float]
    """CIE a, b at the median lightness."""


HAIR_COLORS: dict[str, HairColor] = {
    "blonde": HairColor(
        albedo=(229, 188, 128), root=0.60, highlight=62, lightness=(38, 69, 93), chroma=(4, 33)
    ),
    "platinum": HairColor(
        albedo=(240, 224, 192), root=0.66, highlight=55, lightness=(45, 80, 97), chroma=(0, 13)
    ),
    "brown": HairColor(albedo=(104, 68, 46), root=0.62, highlight=58, lightness=(8, 27, 62), chroma=(9, 15)),
    "black": HairColor(albedo=(42, 38, 38), root=0.78, highlight=64, lightness=(3, 11, 42), chroma=(1, -1)),
    "red": HairColor(albedo=(168, 72, 34), root=0.58, highlight=62, lightness=(11, 37, 73), chroma=(30, 37)),
    "auburn": HairColor(albedo=(116, 50, 32), root=0.60, highlight=60, lightness=(8, 27, 62), chroma=(22, 22)),
    "grey": HairColor(albedo=(158, 159, 160), root=0.62, highlight=52, lightness=(24, 59, 92), chroma=(0, -1)),
    "white": HairColor(albedo=(232, 232, 230), root=0.70, highlight=40, lightness=(46, 82, 98), chroma=(0, 2)),
    "pink": HairColor(albedo=(226, 104, 160), root=0.58, highlight=60, lightness=(33, 63, 92), chroma=(42, -5)),
    "blue": HairColor(albedo=(44, 84, 186), root=0.52, highlight=66, lightness=(12, 38, 80), chroma=(10, -50)),
    "green": HairColor(albedo=(52, 142, 76), root=0.52, highlight=60, lightness=(16, 50, 86), chroma=(-42, 32)),
    "purple": HairColor(albedo=(116, 58, 158), root=0.54, highlight=62, lightness=(12, 36, 78), chroma=(36, -38)),
}  # fmt: skip
"""Every colour that a prompt may name."""


def hair_color(name: str) -> HairColor:
    """Look up a colour.

    Raises:
        PromptError: unknown name.
    """
    if name not in HAIR_COLORS:
        raise PromptError(f"unknown hair colour {name!r}: choose one of {', '.join(sorted(HAIR_COLORS))}")
    return HAIR_COLORS[name]
