"""Sentences for structured prompts, in the form that text encoders and diffusion editors were trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from perse.attributes import Category
from perse.synthesis.prompts.vocabulary import NATURAL

Slots = Mapping[str, str]


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _beard(slots: Slots) -> str:
    color, length = slots["color"], slots.get("length", "")
    if slots["shape"] == "stubble":
        return f"{color} stubble"
    if slots["shape"] == "mutton chops":
        return f"{length} {color} mutton chops"
    noun = {"full": "full beard", "chin curtain": "chin curtain beard"}.get(slots["shape"], slots["shape"])
    return _with_article(f"{length} {color} {noun}")


def _clothes(slots: Slots) -> str:
    garment, color, accent = slots["garment"], slots["color"], slots.get("accent")
    if garment == "suit":
        return f"a {color} suit with a white shirt and {_with_article(str(accent))} tie"
    if garment == "hoodie":
        return f"{_with_article(color)} hoodie"
    if garment == "turtleneck":
        return f"{_with_article(color)} turtleneck sweater"
    pattern = f"{slots['pattern']} " if slots["pattern"] != "plain" else ""
    two = f"{color} and {accent}" if accent else color
    neck = " with a v-neck" if slots["collar"] == "v-neck" else ""
    return f"{_with_article(two)} {pattern}{garment}{neck}"


def _earrings(slots: Slots) -> str:
    size, metal, stone = slots["size"], slots["metal"], slots.get("stone")
    jewel = f"{stone} " if stone else ""
    return f"{size} {metal} {jewel}{slots['kind']} earrings"


def _eyebrows(slots: Slots) -> str:
    if slots["shape"] == "unibrow":
        return _with_article(f"{slots['thickness']} {slots['color']} unibrow")
    return f"{slots['thickness']} {slots['shape']} {slots['color']} eyebrows"


def _hair(slots: Slots) -> str:
    style = slots["style"]
    if style == "bald":
        return "a bald head"
    color = slots["color"]
    if style == "buzz":
        return _with_article(f"{color} buzz cut")
    if style == "afro":
        return _with_article(f"{slots['length']} {color} afro")
    if style == NATURAL:
        return f"hair dyed {color}"
    if style == "ponytail":
        return f"{slots['texture']} {color} hair in a ponytail"
    if style == "cropped":
        return f"short cropped {color} hair parted {_PARTINGS[slots['parting']]}"
    if style == "bun":
        return f"{color} hair tied up in a bun"
    if style == "bob":
        return _with_article(f"{slots['texture']} {color} bob haircut")
    if "length" not in slots:
        return _with_article(f"{color} {style}")
    length = "shoulder-length" if slots["length"] == "shoulder" else slots["length"]
    hair = f"{length} {slots['texture']} {color} hair"
    return f"{hair} with a fringe" if style == "fringe" else f"{hair} parted {_PARTINGS[slots['parting']]}"


_PARTINGS = {"middle": "in the middle", "side": "on the side"}


def _hat(slots: Slots) -> str:
    color, kind, band, detail = slots["color"], slots["kind"], slots.get("band"), slots.get("detail")
    if kind == "beanie":
        extra = {"pompom": " with a pompom", "striped": " with stripes"}.get(str(detail), "")
        return f"{_with_article(color)} beanie{extra}"
    if kind == "cap":
        extra = " with a white front" if detail == "two-tone" else ""
        return f"{_with_article(color)} baseball cap{extra}"
    noun = "wide brim hat" if kind == "wide brim" else kind
    return f"{_with_article(color)} {noun}" + (f" with a {band} band" if band else "")


def _headphones(slots: Slots) -> str:
    return f"{slots['color']} {slots['kind']} headphones with {slots['accent']} details"


def _mouth(slots: Slots) -> str:
    shape = [slots[slot] for slot in ("fullness", "width") if slots[slot] != NATURAL]
    noun = " ".join([*shape, "lips"])
    return noun if slots["color"] == NATURAL else f"{noun} with {slots['color']} lipstick"


def _nose(slots: Slots) -> str:
    shape = [slots[slot] for slot in ("length", "width") if slots[slot] != NATURAL]
    details = [f"{_with_article(slots[slot])} {slot}" for slot in ("bridge", "tip") if slots[slot] != NATURAL]
    noun = _with_article(" ".join([*shape, "nose"]))
    return f"{noun} with {_listed(details)}" if details else noun


_PHRASES: dict[Category, Callable[[Slots], str]] = {
    Category.BEARD: _beard,
    Category.CLOTHES: _clothes,
    Category.EARRINGS: _earrings,
    Category.EYEBROWS: _eyebrows,
    Category.HAIR: _hair,
    Category.HAT: _hat,
    Category.HEADPHONES: _headphones,
    Category.MOUTH: _mouth,
    Category.NOSE: _nose,
}
_WORN = (Category.CLOTHES, Category.EARRINGS, Category.HAT, Category.HEADPHONES)
_OPENINGS = ("A person {verb} {phrase}", "A portrait of a person {verb} {phrase}", "A photo of someone {verb} {phrase}")


def phrase_of(category: Category, slots: Slots) -> str:
    """Phrase for a combination of the vocabulary: "a red beanie with a pompom"."""
    return _PHRASES[category](slots)


def sentence(category: Category, slots: Slots, variation: int = 0) -> str:
    """A combination of the vocabulary as a sentence, without a full stop; `variation` picks the opening."""
    verb = "wearing" if category in _WORN else "with"
    return _OPENINGS[variation % len(_OPENINGS)].format(verb=verb, phrase=phrase_of(category, slots))
