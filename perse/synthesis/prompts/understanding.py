"""Translation of a wish in a person's own words to the nearest thing that the vocabulary can say.

The language is that of `sentences`: every combination of a category has one phrase, and a wish is compared with all of
them (a few hundred), word by word and pair by pair, so that the band of a hat and the hat keep their own colours. What
a person says and no phrase of the category has is told, not passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from perse.attributes import Category
from perse.synthesis.prompts.sentences import phrase_of
from perse.synthesis.prompts.vocabulary import VOCABULARIES

MAX_LETTERS = 200
"""Of a wish; what is longer is no name of a look."""

_IDLE = frozenset(
    re.findall(
        r"\w+",
        "a an the and with in of on for person someone somebody portrait photo wearing wears has have having her his "
        "their my me she he they i want would like to look looks please some very coloured colored color colour",
    )
)
"""Words that say nothing about a look."""

_SAME = {
    "big": "large", "huge": "large", "tiny": "small", "gray": "grey", "blond": "blonde", "golden": "gold",
    "ginger": "red", "violet": "purple",
    "fringes": "fringe", "bangs": "fringe", "spectacles": "glasses", "tee": "t-shirt", "tshirt": "t-shirt",
    "jumper": "sweater", "pullover": "sweater", "tophat": "top", "bobble": "pompom", "mustache": "moustache",
    "hairless": "bald", "shaved": "bald", "chequered": "checked", "checkered": "checked", "plaid": "checked",
    "stripes": "striped", "stripe": "striped", "pink-haired": "pink", "shoulder-length": "shoulder",
    "curl": "curly", "curled": "curly", "wave": "wavy",
}  # fmt: skip
"""Other words for the vocabulary's."""

_NAMES: dict[Category, frozenset[str]] = {
    Category.BEARD: frozenset({"beard", "facial", "hair"}),
    Category.CLOTHES: frozenset({"clothe", "shirt", "top", "outfit"}),
    Category.EARRINGS: frozenset({"earring", "ear"}),
    Category.EYEBROWS: frozenset({"eyebrow", "brow", "eye"}),
    Category.HAIR: frozenset({"hair", "haircut", "hairstyle", "head"}),
    Category.HAT: frozenset({"hat", "headwear"}),
    Category.HEADPHONES: frozenset({"headphone", "headset"}),
    Category.MOUTH: frozenset({"mouth", "lip"}),
    Category.NOSE: frozenset({"nose"}),
}
"""Words for the category itself: understood, though not every phrase says them."""

_PAIR, _EXTRA, _LATE = 0.6, 0.15, 1e-4


@dataclass(frozen=True)
class Understood:
    """Wish in terms of the vocabulary.

    Attributes:
        phrase: of the vocabulary ("a red beanie with a pompom"); empty where nothing was understood.
        attributes: its sorted (slot, value) pairs.
        unknown: words of the wish that this category cannot express.
        unmet: words that it knows, but that do not go together with the others.
    """

    phrase: str
    attributes: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    unmet: tuple[str, ...]


@dataclass(frozen=True)
class _Saying:
    """A combination, its phrase, the phrase's words in order, and those of its values, which the phrase may say
    otherwise or not at all (a plain beanie's)."""

    phrase: str
    attributes: tuple[tuple[str, str], ...]
    words: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def all_words(self) -> tuple[str, ...]:
        return (*self.words, *self.values)


def understand(category: Category, wish: str) -> Understood:
    """Combination that says most of a wish and adds least to it."""
    found = completions(category, wish, 1)
    words = _words(wish)
    known = _known(category)
    unknown = tuple(dict.fromkeys(word for word in words if word not in known))
    if not found or not any(word in known for word in words):
        return Understood("", (), unknown, ())
    said = set(found[0].all_words) | _NAMES[category]
    unmet = tuple(dict.fromkeys(word for word in words if word in known and word not in said))
    return Understood(found[0].phrase, found[0].attributes, unknown, unmet)


def words_beyond(category: Category, wish: str, looks: Sequence[str]) -> list[str]:
    """Words of a wish that none of some looks has, such as a colour that no learned hair has.

    Args:
        looks: sentences of the category; what one of the vocabulary means and does not say counts too.
    """
    said = _NAMES[category].union(*(_words_meant(category, look) for look in looks))
    return list(dict.fromkeys(word for word in _words(wish) if word not in said))


@lru_cache(maxsize=1024)
def _words_meant(category: Category, look: str) -> frozenset[str]:
    said, meant = frozenset(_words(look)), understand(category, look)
    if not said.issuperset(_words(meant.phrase)):
        return said  # no phrase of the vocabulary: the nearest one says more
    return said.union(*(_words(value) for _, value in meant.attributes))


def complete_wish(category: Category, begun: str, most: int) -> list[str]:
    """Phrases that a wish may become, the nearest first; without words, the first of the vocabulary."""
    return [saying.phrase for saying in completions(category, begun, most, begun=True)]


def completions(category: Category, wish: str, most: int, *, begun: bool = False) -> list[_Saying]:
    """Phrases that have words of a wish, the nearest first.

    Args:
        begun: the last word may be unfinished.
    """
    words = _words(wish)
    begun = begun and bool(words) and not wish.endswith(" ")
    scored = []
    for place, saying in enumerate(_sayings(category)):
        met = [_meets(word, saying.all_words, begun and index == len(words) - 1) for index, word in enumerate(words)]
        if words and not any(met):
            continue
        pairs = pairwise(words)
        near = sum(_adjacent(pair, saying.words) for pair in pairs)
        score = sum(met) + _PAIR * near - _EXTRA * len(set(saying.words) - set(words)) - _LATE * place
        scored.append((-score, place, saying))
    return [saying for *_, saying in sorted(scored, key=lambda one: one[:2])[:most]]


def _meets(word: str, words: Sequence[str], begun: bool) -> bool:
    return word in words or (begun and any(other.startswith(word) for other in words))


def _adjacent(pair: tuple[str, str], words: Sequence[str]) -> bool:
    return pair in pairwise(words)


@cache
def _sayings(category: Category) -> tuple[_Saying, ...]:
    return tuple(
        _Saying(phrase, tuple(sorted(combination.items())), _words(phrase), _values(combination))
        for combination in VOCABULARIES[category].combinations()
        if (phrase := phrase_of(category, combination))
    )


def _values(combination: dict[str, str]) -> tuple[str, ...]:
    return tuple(word for value in combination.values() for word in _words(value) if value != "natural")


@cache
def _known(category: Category) -> frozenset[str]:
    return frozenset(word for saying in _sayings(category) for word in saying.all_words) | _NAMES[category]


def _words(text: str) -> tuple[str, ...]:
    """Words that say something, singular, in the vocabulary's spelling."""
    found = re.findall(r"[^\W_]+(?:-[^\W_]+)*", text[:MAX_LETTERS].lower())
    plain = (_SAME.get(word, word) for word in found if word not in _IDLE)
    singular = (
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in plain
    )
    return tuple(_SAME.get(word, word) for word in singular)
