"""Names as people type them: attributes by words, expressions by halves of their names, descriptions by a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from perse.attributes import CATEGORIES, Category
from perse.avatar import Avatar, Subject
from perse.errors import UnknownName
from perse.export.edits import short_name
from perse.viewing import Described, Named

Wanted = str | Described | Mapping[str, float] | Sequence["str | Described"]
"""An attribute: words of one edit, several edits with weights, a description, or a list of these."""


def described(text: str | None = None, *, picture: bytes | str | Path | None = None, weight: float = 1.0) -> Described:
    """An attribute that no edit has, in words, as a picture of somebody who has it, or both. What comes is a guess.

    Args:
        picture: a PNG, JPEG or WebP, its bytes or its path.
    """
    data = Path(picture).read_bytes() if isinstance(picture, str | Path) else picture
    return Described(text, data, weight)


def subject_names(avatar: Avatar) -> dict[str, dict[str, str]]:
    """Short names of the edits and their prompts, by category. A name that two have is followed by the key."""
    named: dict[str, dict[str, str]] = {category.value: {} for category in CATEGORIES}
    for subject in avatar.subjects:
        if subject.category is not None:
            row = named[subject.category.value]
            name = short_name(subject.text)
            row[f"{name} ({subject.key[:8]})" if name in row else name] = subject.text
    return {category: row for category, row in named.items() if row}


def terms_of(avatar: Avatar, category: Category, wanted: Wanted) -> tuple[Named | Described, ...]:
    """Terms of the sum that somebody wants of a category; the names are looked up later."""
    keys = {f"{short_name(s.text)} ({s.key[:8]})": s.key for s in avatar.subjects if s.category is category}
    if isinstance(wanted, str):
        return (Named(keys.get(wanted, wanted)),)
    if isinstance(wanted, Described):
        return (wanted,)
    if isinstance(wanted, Mapping):
        return tuple(Named(keys.get(words, words), float(weight)) for words, weight in wanted.items())
    return tuple(term for one in wanted for term in terms_of(avatar, category, one))


def found_anywhere(avatar: Avatar, words: str) -> Subject:
    """The one edit, of whatever category, that a key or words of a prompt name.

    Raises:
        UnknownName: none does, or several do.
    """
    asked = words.lower().split()
    members = [s for s in avatar.subjects if s.category is not None]
    exact = [s for s in members if s.key == words or short_name(s.text).lower().split() == asked]
    found = exact or [s for s in members if asked and all(word in s.text.lower() for word in asked)]
    if len(found) != 1:
        what = f"{len(found)} edits answer to" if found else "no edit answers to"
        listed = "; ".join(short_name(s.text) for s in (found or members)[:12])
        raise UnknownName(f"{what} {words[:60]!r}; choose among: {listed}")
    return found[0]


def expressions_of(known: Sequence[str], asked: Mapping[str, float]) -> dict[str, float]:
    """Coefficients by full name: ``smile`` and ``mouthSmile`` mean mouthSmileLeft and mouthSmileRight.

    Raises:
        UnknownName: a name stands for nothing.
    """
    found: dict[str, float] = {}
    for name, strength in asked.items():
        full = [name] if name in known else list(_pair(known, name))
        if not full:
            names = sorted({_stem(one) or one for one in known})
            raise UnknownName(f"unknown expression {name[:40]!r}; known are {', '.join(names)}")
        found |= dict.fromkeys(full, float(strength))
    return found


def _pair(known: Sequence[str], name: str) -> Iterator[str]:
    for full in known:
        stem = _stem(full) or full
        bare = re.sub(r"^[a-z]+(?=[A-Z])", "", stem)
        if name.lower() in (stem.lower(), bare.lower()):
            yield full


def _stem(full: str) -> str:
    """``mouthSmile`` of mouthSmileLeft. Nothing of jawLeft, whose other side undoes it, and of names without a side."""
    stem = re.sub(r"(Left|Right)$", "", full)
    return stem if stem != full and not stem.islower() else ""
