"""Supply of prompts, and of replacements for rejected ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from perse.attributes import Category
from perse.data import AttributePrompt


class PromptSupply(Protocol):
    """Supply of planned prompts, with reserves for what does not come off."""

    def plan(self) -> list[AttributePrompt]:
        """Prompts to start with."""
        ...

    def reserves(self, category: Category) -> Iterator[AttributePrompt]:
        """Further prompts of a category, in order; may be endless or empty. The same ones at every call."""
        ...


@dataclass(frozen=True, kw_only=True)
class StreamSupply:
    """Supply from the endless streams of `perse.synthesis.prompts`: the first ones are the plan, the later ones
    reserves."""

    counts: tuple[tuple[Category, int], ...]
    """How many of each category."""

    seed: int = 0
    """Of the streams."""

    def plan(self) -> list[AttributePrompt]:
        return [prompt for category, count in self.counts for prompt in islice(self._stream(category), count)]

    def reserves(self, category: Category) -> Iterator[AttributePrompt]:
        return islice(self._stream(category), dict(self.counts)[category], None)

    def _stream(self, category: Category) -> Iterator[AttributePrompt]:
        from perse.synthesis.prompts import prompt_stream

        return prompt_stream(category, self.seed)


@dataclass(frozen=True)
class ListSupply:
    """Supply of the user's own prompts. They are wanted exactly as they are: nothing replaces them."""

    prompts: tuple[AttributePrompt, ...]

    def plan(self) -> list[AttributePrompt]:
        return list(self.prompts)

    def reserves(self, category: Category) -> Iterator[AttributePrompt]:
        return iter(())


def wanted(prompts: list[AttributePrompt]) -> dict[Category, int]:
    """Number of subjects of each category that a plan asks for."""
    return dict(Counter(prompt.category for prompt in prompts))
