"""Which morph actor should have a request: the one that remembers the request's ends.

A teacher remembers what it has worked out about a subject in a frame (`perse.morphing.diffmorpher`). The router keeps
no truth about an actor's memory, only what it sent where: a wrong guess costs time and changes no picture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

REMEMBERED = 64
"""Names of ends and subjects that an actor is believed to hold, the last sent first."""

END_CALLS, SUBJECT_CALLS, PAIR_CALLS = 80, 5, 50
"""Calls of the UNet (50 steps, of which 30 are walked twice) that an inverted end saves, that reading an adapter
takes, more or less, and that every request which waits before this one takes."""


@dataclass(frozen=True)
class Affinity:
    """What a request would find useful.

    Attributes:
        subjects: the clips of its two ends.
        frame_number: the frame of both.
    """

    subjects: tuple[str, str]
    frame_number: int

    @property
    def ends(self) -> tuple[str, str]:
        """Names of the two pictures."""
        return tuple(f"{subject}/{self.frame_number}" for subject in self.subjects)  # type: ignore[return-value]


@dataclass
class AffinityRouter:
    """Chooses actors.

    Attributes:
        actors: how many there are.
        sent_to_holder: requests that went to an actor believed to hold one of their ends.
    """

    actors: int
    sent_to_holder: int = 0
    _held: list[OrderedDict[str, None]] = field(init=False)

    def __post_init__(self) -> None:
        self._held = [OrderedDict() for _ in range(self.actors)]

    def choose(self, request: Affinity, queues: Sequence[int]) -> int:
        """The actor for a request; from then on it is believed to hold what the request needs.

        Args:
            queues: requests under way at each actor. A long queue outweighs any memory.
        """
        scores = [
            self._worth(held, request) - PAIR_CALLS * queue for held, queue in zip(self._held, queues, strict=True)
        ]
        actor = max(range(self.actors), key=lambda one: (scores[one], -one))
        held = self._held[actor]
        self.sent_to_holder += any(end in held for end in request.ends)
        for name in (*request.subjects, *request.ends):
            held[name] = None
            held.move_to_end(name)
        while len(held) > REMEMBERED:
            held.popitem(last=False)
        return actor

    def forget(self, actor: int) -> None:
        """The actor was restarted and remembers nothing."""
        self._held[actor].clear()

    def _worth(self, held: OrderedDict[str, None], request: Affinity) -> float:
        ends = sum(end in held for end in request.ends)
        subjects = sum(subject in held for subject in request.subjects)
        return END_CALLS * ends + SUBJECT_CALLS * subjects
