"""Vocabulary of prompts: slots and values of each category, in combinations that do not contradict themselves.

A category is a union of *branches*, each the product of its slots' values. A combination that makes no sense (a bald
head has no colour, a hoop no stone) is not filtered out afterwards: it is in no branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from perse.attributes import Category
from perse.errors import PromptError
from perse.synthesis.prompts.palette import FABRIC, HAIR, LIPS, METALS, NATURAL_HAIR, STONES

Attributes = tuple[tuple[str, str], ...]
Branch = Mapping[str, tuple[str, ...]]

NATURAL = "natural"
"""The value of a slot that leaves the portrait's own trait as it is."""


def _any(_: Mapping[str, str]) -> bool:
    return True


@dataclass(frozen=True)
class Vocabulary:
    """Words of one category: everything that can be asked of it.

    Attributes:
        slots: slot names, the most visible first; the first one names the edit.
        branches: unions of products; the order of values is the order in which the first prompts take them.
        allows: whether a combination within a branch makes sense.
        quiet: values that show little; prompts get to them last.
    """

    slots: tuple[str, ...]
    branches: tuple[Branch, ...]
    allows: Callable[[Mapping[str, str]], bool] = _any
    quiet: frozenset[str] = frozenset({NATURAL, "plain"})

    def values(self) -> dict[str, tuple[str, ...]]:
        """All values of each slot over the branches, in their order."""
        return {
            slot: tuple(dict.fromkeys(value for branch in self.branches for value in branch.get(slot, ())))
            for slot in self.slots
        }

    def combinations(self) -> Iterator[dict[str, str]]:
        """Every combination that makes sense, in a fixed order."""
        for branch in self.branches:
            for chosen in product(*branch.values()):
                combination = dict(zip(branch, chosen, strict=True))
                if self.allows(combination):
                    yield combination


def _bold_nose(nose: Mapping[str, str]) -> bool:
    """Up to three changes, as four make another person of the portrait; of single ones only those that are seen."""
    changed = [slot for slot, value in nose.items() if value != NATURAL]
    return len(changed) in (2, 3) or changed in (["length"], ["width"])


def _visible_brows(brows: Mapping[str, str]) -> bool:
    """A thin line of pale hair is not seen at all."""
    return brows["thickness"] != "thin" or brows["color"] not in ("blonde", "white")


def _visible_mouth(mouth: Mapping[str, str]) -> bool:
    """A lipstick, or a changed shape; close-to-skin lipstick only on a changed shape."""
    shaped = mouth["fullness"] != NATURAL or mouth["width"] != NATURAL
    return shaped or mouth["color"] not in (NATURAL, "nude")


def _band_differs(worn: Mapping[str, str]) -> bool:
    return worn.get("band") != worn["color"]


def _accent_differs(worn: Mapping[str, str]) -> bool:
    return worn.get("accent") != worn["color"]


_CLOTH = tuple(FABRIC)
_DYES = tuple(HAIR)
_SUITS = ("navy", "black", "grey", "brown")
_GEMS = tuple(stone for stone in STONES if stone != "pearl")

VOCABULARIES: dict[Category, Vocabulary] = {
    Category.BEARD: Vocabulary(
        slots=("shape", "length", "color"),
        branches=(
            {"shape": ("full",), "length": ("long", "short", "medium"), "color": NATURAL_HAIR},
            {"shape": ("moustache",), "length": ("medium", "long"), "color": NATURAL_HAIR},
            {"shape": ("goatee",), "length": ("long", "short", "medium"), "color": NATURAL_HAIR},
            {"shape": ("mutton chops",), "length": ("medium", "long"), "color": NATURAL_HAIR},
            {"shape": ("stubble",), "color": ("black", "brown", "grey")},
            {"shape": ("chin curtain",), "length": ("medium", "long"), "color": NATURAL_HAIR},
        ),
    ),
    Category.CLOTHES: Vocabulary(
        slots=("garment", "color", "pattern", "accent", "collar"),
        branches=(
            {"garment": ("hoodie",), "color": _CLOTH, "pattern": ("plain",), "collar": ("hood",)},
            {
                "garment": ("t-shirt",),
                "color": _CLOTH,
                "pattern": ("striped",),
                "accent": ("white", "black", "yellow"),
                "collar": ("crew neck",),
            },
            {"garment": ("suit",), "color": _SUITS, "accent": ("red", "yellow", "teal", "pink"), "collar": ("lapels",)},
            {
                "garment": ("shirt",),
                "color": _CLOTH,
                "pattern": ("checked", "striped"),
                "accent": ("white", "black"),
                "collar": ("point collar",),
            },
            {"garment": ("turtleneck",), "color": _CLOTH, "pattern": ("plain",), "collar": ("roll neck",)},
            {"garment": ("t-shirt",), "color": _CLOTH, "pattern": ("plain",), "collar": ("crew neck", "v-neck")},
        ),
        allows=_accent_differs,
    ),
    Category.EARRINGS: Vocabulary(
        slots=("kind", "size", "stone", "metal"),
        branches=(
            {"kind": ("hoop",), "size": ("large", "medium", "small"), "metal": tuple(METALS)},
            {"kind": ("drop",), "size": ("large", "medium"), "stone": tuple(STONES), "metal": ("silver", "gold")},
            {"kind": ("stud",), "size": ("large", "small"), "stone": tuple(STONES), "metal": ("gold", "silver")},
            {"kind": ("chandelier",), "size": ("large",), "stone": _GEMS, "metal": tuple(METALS)},
        ),
        quiet=frozenset({"small"}),
    ),
    Category.EYEBROWS: Vocabulary(
        slots=("shape", "thickness", "color"),
        branches=(
            {
                "shape": ("straight", "arched"),
                "thickness": ("thick", "thin", "medium"),
                "color": NATURAL_HAIR,
            },
            {"shape": ("unibrow",), "thickness": ("thick", "medium"), "color": ("black", "brown", "auburn", "grey")},
            {"shape": ("angled",), "thickness": ("thin", "thick", "medium"), "color": NATURAL_HAIR},
        ),
        allows=_visible_brows,
        quiet=frozenset({"medium"}),
    ),
    Category.HAIR: Vocabulary(
        slots=("style", "color", "length", "texture", "parting"),
        branches=(
            {
                "style": ("loose",),
                "color": _DYES,
                "length": ("long", "shoulder", "short"),
                "texture": ("wavy", "straight", "curly"),
                "parting": ("middle", "side"),
            },
            {"style": ("bob",), "color": _DYES, "texture": ("straight", "wavy", "curly")},
            {"style": ("afro",), "color": _DYES, "length": ("medium", "short")},
            {
                "style": ("fringe",),
                "color": _DYES,
                "length": ("long", "shoulder", "short"),
                "texture": ("straight", "wavy", "curly"),
            },
            {"style": ("ponytail",), "color": _DYES, "texture": ("straight", "wavy")},
            {"style": ("cropped",), "color": _DYES, "parting": ("side", "middle")},
            {"style": ("buzz",), "color": _DYES},
            {"style": ("bald",)},
            {"style": ("bun",), "color": _DYES},
            # The portrait's own hair, dyed.
            {"style": (NATURAL,), "color": _DYES},
        ),
    ),
    Category.HAT: Vocabulary(
        slots=("kind", "color", "detail", "band"),
        branches=(
            {"kind": ("beanie",), "color": _CLOTH, "detail": ("pompom", "striped", "plain")},
            {"kind": ("top hat",), "color": ("black", *(c for c in _CLOTH if c != "black")), "band": ("red", "white")},
            {"kind": ("cap",), "color": _CLOTH, "detail": ("plain", "two-tone")},
            {"kind": ("wide brim",), "color": _CLOTH, "band": ("black", "white", "red")},
        ),
        allows=_band_differs,
        quiet=frozenset(),
    ),
    Category.HEADPHONES: Vocabulary(
        slots=("color", "kind", "accent"),
        branches=(
            {
                "color": ("red", "black", "yellow", "white", "teal", "purple", "green", "pink", "navy", "orange"),
                "kind": ("studio", "retro", "gaming"),
                "accent": ("black", "white", "orange"),
            },
        ),
        allows=_accent_differs,
        quiet=frozenset(),
    ),
    Category.MOUTH: Vocabulary(
        slots=("color", "fullness", "width"),
        branches=(
            {
                "color": (*LIPS, NATURAL),
                "fullness": ("full", NATURAL, "thin"),
                "width": ("wide", "narrow", NATURAL),
            },
        ),
        allows=_visible_mouth,
    ),
    Category.NOSE: Vocabulary(
        slots=("length", "width", "bridge", "tip"),
        branches=(
            {
                "length": ("long", "short", NATURAL),
                "width": ("wide", "narrow", NATURAL),
                "bridge": ("high", "crooked", "flat", NATURAL),
                "tip": ("bulbous", "upturned", NATURAL),
            },
        ),
        allows=_bold_nose,
    ),
}


def vocabulary(category: Category) -> dict[str, tuple[str, ...]]:
    """Slots of a category, the most visible first, and the values each may take in some combination."""
    return VOCABULARIES[category].values()


def as_attributes(combination: Mapping[str, str]) -> Attributes:
    """A combination as the sorted pairs that a prompt record holds."""
    return tuple(sorted(combination.items()))


def complete(category: Category, given: Mapping[str, str]) -> dict[str, str]:
    """First combination in the vocabulary's order that has the given slots; the others take their usual value.

    Raises:
        PromptError: an unknown slot or value (the known ones are listed), or values that exclude each other.
    """
    known = vocabulary(category)
    for slot, value in given.items():
        if slot not in known:
            raise PromptError(f"{category.value} has no slot '{slot}'; it has: {', '.join(known)}")
        if value not in known[slot]:
            raise PromptError(f"{category.value} cannot have {slot} '{value}'; allowed: {', '.join(known[slot])}")
    for combination in VOCABULARIES[category].combinations():
        if given.items() <= combination.items():
            return combination
    asked = ", ".join(f"{slot} '{value}'" for slot, value in given.items())
    raise PromptError(f"{category.value}: {asked} do not go together; leave one of them out")
