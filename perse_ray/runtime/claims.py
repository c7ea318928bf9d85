"""Claims: workers that must have a place at the same time, and whether nodes have room for them. Knows no Ray."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

_ROUNDING = 1e-6
"""Of sums of fractions of a CPU."""


@dataclass(frozen=True, kw_only=True)
class WorkerClaim:
    """Claim of workers that must all have a place at the same time."""

    what: str
    """For the message: "morph actors"."""

    count: int
    """How many."""

    cpus: float = 0.0
    """Logical CPUs of one."""

    gpus: float = 0.0
    """GPUs of one."""

    memory_gib: float = 0.0
    """Memory that one sets aside."""

    def __str__(self) -> str:
        parts = [f"{self.cpus:g} CPU"] + ([f"{self.gpus:g} GPU"] if self.gpus else [])
        parts += [f"{self.memory_gib:g} GiB"] if self.memory_gib else []
        return f"{self.count} {self.what} of {', '.join(parts)} each"


def fits(nodes: Sequence[Mapping[str, float]], claims: Sequence[WorkerClaim]) -> bool:
    """Whether empty nodes hold all claims, largest first, each on the first node with room."""
    free = [dict(node) for node in nodes]
    for claim in sorted(claims, key=lambda claim: (claim.gpus, claim.cpus), reverse=True):
        needed = {"GPU": claim.gpus, "CPU": claim.cpus, "memory": claim.memory_gib * 2**30}
        for _ in range(claim.count):
            place = next(
                (node for node in free if all(node.get(k, 0) + _ROUNDING >= v for k, v in needed.items())), None
            )
            if place is None:
                return False
            for name, amount in needed.items():
                place[name] = place.get(name, 0) - amount
    return True


def room_for(
    nodes: Sequence[Mapping[str, float]], claim: WorkerClaim, beside: Sequence[WorkerClaim] = (), at_most: int = 1
) -> int:
    """Number of workers of a claim, whatever its count, that empty nodes hold beside others.

    Args:
        beside: claims that have their place, too.
        at_most: the largest answer of interest.
    """

    def too_many(count: int) -> bool:
        return not fits(nodes, [*beside, replace(claim, count=count)])

    return bisect_left(range(1, at_most + 1), True, key=too_many)
