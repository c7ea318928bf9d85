"""Stream of prompts of a category, ordered and endless; a plan takes the first, the screen's reserves are the next."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import count

from perse.attributes import Category
from perse.data import AttributePrompt
from perse.synthesis.prompts.sentences import sentence
from perse.synthesis.prompts.vocabulary import VOCABULARIES, Vocabulary, as_attributes

# How much more one repetition of a slot's value costs than one of the next, less visible slot.
_VISIBILITY_FALLOFF = 0.45
# Values that show little count as if they had been taken this often already.
_QUIET_HANDICAP = 2


def stable_hash(*parts: object) -> int:
    """A non-negative 63-bit number that depends on the parts' text alone: not on the process, not on the platform."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class _Usage:
    """How often each value has been taken, and so what taking a combination would cost in diversity."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        values = vocabulary.values()
        self._lead = vocabulary.slots[0]
        self._lead_order = values[self._lead]
        # Counts are relative to the length of the list: each value of a pair is taken more often than one of twelve.
        self._weight = {
            slot: len(values[slot]) * _VISIBILITY_FALLOFF**rank for rank, slot in enumerate(vocabulary.slots)
        }
        self._taken: Counter[tuple[str, str]] = Counter(
            {(slot, value): _QUIET_HANDICAP for slot in values for value in values[slot] if value in vocabulary.quiet}
        )

    def cost(self, combination: dict[str, str]) -> tuple[int, int, float]:
        """Sorts by the lead slot first, whose values come in turn, then by how worn the other values are."""
        lead = combination[self._lead]
        others = [(slot, value) for slot, value in combination.items() if slot != self._lead]
        worn = sum(self._weight[slot] * self._taken[slot, value] for slot, value in others)
        return self._taken[self._lead, lead], self._lead_order.index(lead), round(worn, 6)

    def take(self, combination: dict[str, str]) -> None:
        self._taken.update(combination.items())


def _ordered(category: Category, seed: int, cycle: int) -> Iterator[dict[str, str]]:
    """All combinations once: always the one whose values were used least, the lead slot in the vocabulary's order.

    The seed decides between combinations that would serve diversity alike, so it changes which colour meets which
    hat, never how varied the first prompts are.
    """
    vocabulary = VOCABULARIES[category]
    usage = _Usage(vocabulary)
    left = sorted(vocabulary.combinations(), key=lambda c: stable_hash(category.value, seed, cycle, sorted(c.items())))
    while left:
        best = min(left, key=usage.cost)
        left.remove(best)
        usage.take(best)
        yield best


def prompt_stream(category: Category, seed: int) -> Iterator[AttributePrompt]:
    """Prompts of one category without end: a pure function of (category, seed), the n-th is always the same.

    The first ones differ as much as the vocabulary allows. When every combination has been named the stream starts
    over in another order, with other seeds (other strands and folds) and another wording.
    """
    numbers = count()
    for cycle in count():
        for combination in _ordered(category, seed, cycle):
            number = next(numbers)
            yield AttributePrompt(
                key=f"{category.value}-{number:04d}",
                category=category,
                attributes=as_attributes(combination),
                text=sentence(category, combination, cycle),
                seed=stable_hash(category.value, seed, number),
            )
