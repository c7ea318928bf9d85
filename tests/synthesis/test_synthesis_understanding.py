"""Wishes in a person's own words come to what the vocabulary has, and what it has not is said."""

from __future__ import annotations

import pytest

from perse.attributes import CATEGORIES, Category
from perse.synthesis.prompts import complete, complete_wish, understand, words_beyond
from perse.synthesis.prompts.sentences import phrase_of
from perse.synthesis.prompts.vocabulary import VOCABULARIES


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.value)
def test_a_phrase_of_the_vocabulary_comes_back_as_itself(category: Category) -> None:
    combinations = list(VOCABULARIES[category].combinations())
    for combination in combinations[:: max(len(combinations) // 25, 1)]:
        found = understand(category, f"A person with {phrase_of(category, combination)}")
        assert found.phrase == phrase_of(category, combination)
        assert not found.unknown and not found.unmet
        assert complete(category, dict(found.attributes)) == dict(found.attributes)


@pytest.mark.parametrize(
    ("category", "wish", "expected"),
    [
        (Category.HAT, "red beanie", {"kind": "beanie", "color": "red", "detail": "plain"}),
        (Category.HAT, "black hat with a white band", {"color": "black", "band": "white"}),
        (Category.HAT, "White top hat, red band", {"kind": "top hat", "color": "white", "band": "red"}),
        (Category.HAIR, "bald", {"style": "bald"}),
        (Category.EARRINGS, "BIG gold hoops", {"kind": "hoop", "size": "large", "metal": "gold"}),
        (Category.BEARD, "a short gray mustache", {"shape": "moustache", "color": "grey"}),
    ],
)
def test_own_words_are_understood(category: Category, wish: str, expected: dict[str, str]) -> None:
    assert expected.items() <= dict(understand(category, wish).attributes).items()


def test_what_cannot_be_expressed_is_said() -> None:
    found = understand(Category.HAT, "a sombrero")
    assert found.phrase == "" and found.unknown == ("sombrero",)
    found = understand(Category.BEARD, "black goatee with beads")
    assert "goatee" in found.phrase and found.unknown == ("bead",)
    found = understand(Category.EARRINGS, "hoop earrings with a ruby")
    assert "hoop" in found.phrase and found.unmet == ("ruby",)
    for odd in ("", "   ", "!!", "\u202e", "x" * 5000):
        assert understand(Category.HAT, odd).phrase == ""


def test_a_wish_is_completed_from_what_is_typed() -> None:
    assert all("beanie" in phrase for phrase in complete_wish(Category.HAT, "red bea", 3))
    assert complete_wish(Category.HAT, "red bea", 3)[0].startswith("a red beanie")
    assert len(complete_wish(Category.HAIR, "", 5)) == 5
    assert complete_wish(Category.HAT, "zzz", 5) == []


def test_words_that_no_look_has_are_told() -> None:
    hair = ["A person with long wavy grey hair", "A person with a curly blonde bob"]
    assert words_beyond(Category.HAIR, "curly red hair", hair) == ["red"]
    assert words_beyond(Category.HAIR, "gray curls", hair) == [], "other words for the same"
    assert words_beyond(Category.HAIR, "a person with sparkling, sparkling hair", hair) == ["sparkling"]
    assert words_beyond(Category.HAT, "a plain beanie", ["A person wearing a teal beanie"]) == [], "meant and not said"
    assert words_beyond(Category.HAT, "a red hat", ["A person with a green hat"]) == ["red"], "nor what may be meant"
    assert words_beyond(Category.HAT, "a plain beanie", []) == ["plain", "beanie"]
