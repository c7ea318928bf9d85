"""Categories of a sentence: "a red beanie and a short beard" is about a hat and a beard, and says something of each."""

from __future__ import annotations

import re

from perse.attributes import CATEGORIES, Category
from perse.errors import UnknownName

NOUNS: dict[Category, tuple[str, ...]] = {
    Category.BEARD: ("beard", "moustache", "mustache", "goatee", "stubble", "sideburns"),
    Category.CLOTHES: ("clothes", "shirt", "jacket", "hoodie", "suit", "dress", "sweater", "turtleneck", "coat"),
    Category.EARRINGS: ("earrings", "earring", "hoops", "studs"),
    Category.EYEBROWS: ("eyebrows", "eyebrow", "brows", "unibrow"),
    Category.HAIR: (
        "hair", "afro", "braids", "ponytail", "bun", "curls", "dreadlocks", "bob", "bald", "fringe", "bangs", "blonde",
        "blond", "redhead", "brunette",
    ),
    Category.HAT: ("hat", "cap", "beanie", "fedora", "beret", "crown", "helmet", "turban"),
    Category.HEADPHONES: ("headphones", "headset", "earphones"),
    Category.MOUTH: ("mouth", "lips", "smile", "lipstick"),
    Category.NOSE: ("nose",),
}  # fmt: skip
"""What a sentence is about. Hats and headphones are looked for before hair: "a hat over red hair" is about a hat."""

NONE = "no "
"""How a piece begins that asks for nothing of its category."""

_ORDER = (Category.HAT, Category.HEADPHONES, Category.EARRINGS, Category.EYEBROWS, *CATEGORIES)
_ARTICLE = re.compile(r"^(?:an?|any|the)\s+", re.IGNORECASE)
_JOINTS = re.compile(r"\s*([,;.]|\b(?:and|with|without|plus|over|under|but)\b)\s*", re.IGNORECASE)


def category_of(text: str) -> Category:
    """The category that a sentence is about.

    Raises:
        UnknownName: no word of it says so.
    """
    found = _category(text)
    if found is None:
        raise UnknownName(
            f"{text[:60]!r} names none of {', '.join(c.value for c in CATEGORIES)}; say which, as in hat=described(…)"
        )
    return found


def clauses(text: str) -> dict[Category, str]:
    """Pieces of a sentence, each about one category. What names none belongs to the piece that follows ("black and
    white hat"), after "with" and at the end to the one before ("a hat with a band"); of two about one category both are
    kept. A piece that asks for nothing of its category begins with `NONE` ("without a hat": "no hat").

    Raises:
        UnknownName: no word of it names a category.
    """
    found: dict[Category, str] = {}
    waiting, last = "", None
    pieces = ["", *_JOINTS.split(text.strip())]
    for joint, piece in zip(pieces[::2], pieces[1::2], strict=True):
        category = _category(piece)
        if category is not None:
            piece = f"{waiting} {piece}".strip()
            if joint.lower() == "without":
                piece = NONE + _ARTICLE.sub("", piece)
            found[category] = f"{found[category]}, {piece}" if category in found else piece
            waiting, last = "", category
        elif piece and joint.lower() in ("with", "without") and last is not None:
            found[last] = f"{found[last]} {joint.lower()} {piece}"
        else:
            waiting = f"{waiting} {piece}".strip()
    if last is None:
        category_of(text)  # which says what there is
    elif waiting:
        found[last] = f"{found[last]} {waiting}"
    return found


def _category(text: str) -> Category | None:
    words = set(re.findall(r"[a-z]+", text.lower()))
    return next((category for category in _ORDER if words & set(NOUNS[category])), None)
