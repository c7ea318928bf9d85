"""Demand for prompts of a stream: the first ones that bring enough subjects are tried.

A stream is a category's prompts in their fixed order, the planned ones and then the reserves. What is *needed* is its
shortest beginning with as many prompts that were not refused as the category wants subjects. That grows with every
refusal, and where it ends depends on the verdicts alone: not on their order, nor on who gave them, nor on when. Only
needed prompts count in the result.

A worker that would stand still while the last verdicts are awaited may take up a prompt *ahead* of need, if it is
likely to be needed: a replacement that begins only when its predecessor was refused ends a whole edit later.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

PRIOR_VERDICTS = 10.0
"""Verdicts of its own that a category needs before they weigh as much as those of all categories."""


class Demand:
    """Demand of one category.

    Args:
        wanted: subjects.
        available: prompts in the stream.
    """

    def __init__(self, wanted: int, available: int) -> None:
        self._available = available
        self._refused: set[int] = set()
        self._accepted: set[int] = set()
        self._begun = 0
        self._needed = self._reached(0, wanted)

    @property
    def needed(self) -> int:
        """Number of prompts from the beginning of the stream that count."""
        return self._needed

    @property
    def waiting(self) -> int:
        """Number of prompts that were begun and have no verdict yet."""
        return self._begun - self.judged

    @property
    def refused(self) -> int:
        """Number of prompts that came to nothing."""
        return len(self._refused)

    @property
    def judged(self) -> int:
        """Number of prompts with a verdict."""
        return len(self._refused) + len(self._accepted)

    def refuse(self, number: int) -> None:
        """Note that a prompt has come to nothing, perhaps after its edit had passed the screen."""
        if number not in self._refused:
            self._accepted.discard(number)
            self._refused.add(number)
            if number < self._needed:
                self._needed = self._reached(self._needed, 1)

    def accept(self, number: int) -> None:
        """Note that an edit has passed the screen, or lies there with its clip. Old news of one that failed since is
        ignored."""
        if number not in self._refused:
            self._accepted.add(number)

    def begin_needed(self) -> int | None:
        """Number of the next prompt that is needed and not begun."""
        return self._begin() if self._begun < self._needed else None

    def begin_ahead(self, refusal_rate: float) -> int | None:
        """Number of the next prompt, if it is likely to be needed: as many ahead as refusals are expected among those
        that wait (those ahead may be refused, too) and one standard deviation more, as they are nearly Poisson.

        Args:
            refusal_rate: of all categories, in [0, 1].
        """
        rate = (self.refused + PRIOR_VERDICTS * refusal_rate) / (self.judged + PRIOR_VERDICTS)
        expected = rate * self.waiting
        likely = self._reached(self._needed, round(expected + sqrt(expected)))
        return self._begin() if self._begun < likely else None

    def _begin(self) -> int:
        self._begun += 1
        return self._begun - 1

    def _reached(self, start: int, count: int) -> int:
        """Where the stream has brought so many more prompts that were not refused, or its end."""
        while count > 0 and start < self._available:
            count -= start not in self._refused
            start += 1
        return start


def refusal_rate(demands: Sequence[Demand]) -> float:
    """Share of refusals among all verdicts so far; 0 before the first."""
    return sum(demand.refused for demand in demands) / max(sum(demand.judged for demand in demands), 1)
