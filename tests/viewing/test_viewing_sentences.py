"""A sentence falls into pieces, each about one category."""

from __future__ import annotations

import pytest

from perse.attributes import Category
from perse.errors import UnknownName
from perse.viewing.sentences import clauses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red beanie and a short beard", {Category.HAT: "a red beanie", Category.BEARD: "a short beard"}),
        ("curly hair", {Category.HAIR: "curly hair"}),
        ("a black and white hat", {Category.HAT: "a black white hat"}),
        (
            "a hat with a red band, gold earrings",
            {Category.HAT: "a hat with a red band", Category.EARRINGS: "gold earrings"},
        ),
        ("a hat with a red band", {Category.HAT: "a hat with a red band"}),
        ("a moustache and a goatee", {Category.BEARD: "a moustache, a goatee"}),
        ("a short beard without a hat", {Category.BEARD: "a short beard", Category.HAT: "no hat"}),
        ("without any earrings", {Category.EARRINGS: "no earrings"}),
        ("a beanie without a pompom", {Category.HAT: "a beanie without a pompom"}),
        ("a cap over red hair", {Category.HAT: "a cap", Category.HAIR: "red hair"}),
    ],
)
def test_pieces(text: str, expected: dict[Category, str]) -> None:
    assert clauses(text) == expected


@pytest.mark.parametrize("text", ["", "something nice", ", and ;"])
def test_a_sentence_about_nothing_says_what_there_is(text: str) -> None:
    with pytest.raises(UnknownName, match="names none of beard, clothes"):
        clauses(text)
