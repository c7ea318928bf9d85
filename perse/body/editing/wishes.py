"""Wishes for edits as somebody types them: ``hat=red beanie``, ``clothes=a green hoodie``."""

from __future__ import annotations

from collections.abc import Sequence

from perse.attributes import Category
from perse.body.editing.edit import BODY_CATEGORIES
from perse.data import AttributePrompt
from perse.errors import PromptError
from perse.synthesis.prompts import complete, understand
from perse.synthesis.prompts.sentences import sentence
from perse.synthesis.prompts.stream import stable_hash
from perse.synthesis.prompts.vocabulary import as_attributes

MOST = 8
"""Edits of one category: as many directions the avatar keeps for it."""


def body_prompts(wishes: Sequence[str]) -> tuple[AttributePrompt, ...]:
    """Prompts of ``category=words`` sentences.

    Raises:
        PromptError: a category that a body does not have, words that say nothing, too many of one category.
    """
    return checked_prompts([_prompt(wish) for wish in wishes])


def checked_prompts(prompts: Sequence[AttributePrompt]) -> tuple[AttributePrompt, ...]:
    """Prompts that a body can wear, each once, in full.

    Raises:
        PromptError: see `body_prompts`.
    """
    found: dict[tuple[Category, tuple[tuple[str, str], ...]], AttributePrompt] = {}
    for prompt in prompts:
        _check_category(prompt.category)
        if not prompt.attributes:
            raise PromptError(f"{prompt.text[:60]!r} is free text, which no editor of bodies reads; fill in the slots")
        found.setdefault((prompt.category, as_attributes(complete(prompt.category, dict(prompt.attributes)))), prompt)
    for category in BODY_CATEGORIES:
        number = sum(1 for known, _ in found if known is category)
        if number > MOST:
            raise PromptError(f"{number} edits of {category.value} are too many for one avatar; give at most {MOST}")
    return tuple(found.values())


def _prompt(wish: str) -> AttributePrompt:
    name, equals, words = wish.partition("=")
    if not equals or not words.strip():
        raise PromptError(f"expected category=words, as in hat=red beanie, got {wish[:60]!r}")
    try:
        category = Category(name.strip().lower())
    except ValueError:
        raise PromptError(f"{name.strip()[:40]!r} is no category; a body knows {_known()}") from None
    _check_category(category)
    understood = understand(category, words)
    if not understood.attributes or understood.unknown or understood.unmet:
        odd = ", ".join((*understood.unknown, *understood.unmet)) or words.strip()
        near = f"; the nearest is {category.value}={understood.phrase}" if understood.phrase else ""
        raise PromptError(f"{category.value} cannot be {odd[:60]!r}{near}")
    slots = dict(understood.attributes)
    digest = stable_hash("body", category.value, understood.attributes)
    return AttributePrompt(
        key=f"{category.value}-{digest % 16**8:08x}",
        category=category,
        attributes=understood.attributes,
        text=sentence(category, slots),
        seed=digest,
    )


def _check_category(category: Category) -> None:
    if category not in BODY_CATEGORIES:
        raise PromptError(f"{category.value} is too small a thing for a body avatar; it knows {_known()}")


def _known() -> str:
    return ", ".join(category.value for category in BODY_CATEGORIES)
