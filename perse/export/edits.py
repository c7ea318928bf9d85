"""Latent codes of edits as a person types them.

``hat=red beanie`` wears one edit, ``hair=curly red*0.7+bald*0.3`` mixes two, ``hat=red beanie*0.5`` is halfway to it.
A subject is named by its key, by the start of its key, or by words of its prompt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, Subject
from perse.errors import InputError

_PERSON = re.compile(r"^A person (?:with|wearing) (?:an? )?", re.IGNORECASE)

Mix = Mapping[Category, Mapping[str, float]]
"""By category: subjects' keys and weights. Weights that do not add up to one leave the rest to the reference."""


def mixed_code(avatar: Avatar, mix: Mix) -> Float[Tensor, "k d"]:
    """z [k, d]: in each named category z_ref + Σ w (z_subject − z_ref), elsewhere z_ref (Eq. 4, 13).

    Raises:
        InputError: a key is not a subject of that category.
    """
    reference = avatar.latents.reference.detach()
    codes = avatar.subject_codes().detach()
    code = reference.clone()
    rows = {(s.category, s.key): row for row, s in enumerate(avatar.subjects)}
    for category, weights in mix.items():
        k = category.index
        for key, weight in weights.items():
            if (category, key) not in rows:
                raise InputError(f"this avatar has no {category.value} {key!r}; {_choices(avatar, category)}")
            code[k] += weight * (codes[rows[category, key], k] - reference[k])
    return code


def find_subject(avatar: Avatar, category: Category, words: str) -> Subject:
    """The one subject of a category that a key, the start of a key, or words of a prompt name.

    A whole prompt, or its `short_name`, is that subject's even where another one's prompt has the same words.

    Raises:
        InputError: none does, or several do; the message lists them.
    """
    members = [subject for subject in avatar.subjects if subject.category is category]
    asked = words.lower().split()
    exact = [subject for subject in members if subject.key == words]
    exact += [s for s in members if asked in (s.text.lower().split(), short_name(s.text).lower().split())]
    if exact:
        return exact[0]
    found = [
        subject
        for subject in members
        if asked and (subject.key.startswith(words) or all(word in subject.text.lower() for word in asked))
    ]
    if len(found) == 1:
        return found[0]
    what = "no" if not found else f"{len(found)} edits that answer to"
    raise InputError(f"there is {what} {category.value} {words[:60]!r}; {_choices(avatar, category, found)}")


def short_name(text: str) -> str:
    """Short name of a prompt: ``teal beanie`` of "A person wearing a teal beanie"."""
    return _PERSON.sub("", text) or text


def parse_mix(avatar: Avatar, sentences: Sequence[str]) -> dict[Category, dict[str, float]]:
    """Read ``category=words*weight+words*weight`` sentences.

    Raises:
        InputError: a sentence, category, subject or weight cannot be understood.
    """
    mix: dict[Category, dict[str, float]] = {}
    for sentence in sentences:
        name, equals, rest = sentence.partition("=")
        category = _category(name.strip())
        if not equals or not rest.strip():
            raise InputError(f"expected category=words, as in hat=red beanie, got {sentence[:60]!r}")
        for term in rest.split("+"):
            words, star, weight = term.rpartition("*")
            subject = find_subject(avatar, category, (words if star else term).strip())
            mix.setdefault(category, {})[subject.key] = _weight(weight) if star else 1.0
    return mix


def _category(name: str) -> Category:
    try:
        return Category(name)
    except ValueError:
        raise InputError(f"{name[:60]!r} is no category; there are {', '.join(c.value for c in Category)}") from None


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not -0.5 <= weight <= 1.5:
        raise InputError(f"a weight is a number from -0.5 to 1.5, got {text.strip()[:20]!r}")
    return weight


def _choices(avatar: Avatar, category: Category, among: Sequence[Subject] = ()) -> str:
    members = among or [subject for subject in avatar.subjects if subject.category is category]
    if not members:
        return f"it has learned no {category.value} at all"
    some = "; ".join(f"{s.key[:8]} {s.text}"[:70] for s in members[:8])
    return f"choose among: {some}" + (f"; and {len(members) - 8} more" if len(members) > 8 else "")
