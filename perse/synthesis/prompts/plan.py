"""Plan of the prompts: how many a run asks for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from perse.attributes import Category
from perse.data import AttributePrompt
from perse.synthesis.prompts.stream import prompt_stream

PAPER_COUNTS: tuple[tuple[Category, int], ...] = (
    (Category.BEARD, 69),
    (Category.CLOTHES, 57),
    (Category.EARRINGS, 59),
    (Category.EYEBROWS, 58),
    (Category.HAIR, 395),
    (Category.HAT, 110),
    (Category.HEADPHONES, 59),
    (Category.MOUTH, 75),
    (Category.NOSE, 75),
)
"""P Table 4: 957 prompts."""


@dataclass(frozen=True)
class PromptPlan:
    """First prompts of a run; replacements for rejected edits are the next ones of the same streams.

    Attributes:
        counts: categories and how many prompts of each, in the order of the plan.
        seed: of the streams.
    """

    counts: tuple[tuple[Category, int], ...]
    seed: int = 0

    def __post_init__(self) -> None:
        categories = [category for category, _ in self.counts]
        if len(set(categories)) < len(categories) or any(number < 0 for _, number in self.counts):
            raise ValueError(f"each category once, with a count of 0 or more; got {self.counts}")


def plan_prompts(plan: PromptPlan) -> list[AttributePrompt]:
    """The first prompts of each category's stream, category after category."""
    return [prompt for category, number in plan.counts for prompt in islice(prompt_stream(category, plan.seed), number)]
