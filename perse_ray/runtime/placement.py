"""Room on the cluster: what cannot be placed is said within a minute, instead of being waited for without a word.

Ray itself waits for ever for a node that could hold an actor. Whether one *could* is known from the nodes' totals.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import ray
from ray.autoscaler.sdk import request_resources

from perse.errors import StageError

log = logging.getLogger(__name__)

REMIND_EVERY_S = 30.0
_POLL_S = 1.0
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Workers that must all have a place at the same time."""

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


def await_room(
    claims: Sequence[Claim], limit_s: float, nodes: Callable[[], list[dict[str, float]]] | None = None
) -> None:
    """Wait until the cluster's nodes could hold all claims together, were they empty.

    Args:
        limit_s: how long nodes may take to join; an autoscaler needs minutes.
        nodes: resources of every node; those of the running Ray by default.

    Raises:
        StageError: they could not. The message says what is asked for and what is there.
    """
    look = nodes or node_resources
    if not fits(look(), claims):
        with _asked_for(claims):
            _wait(claims, limit_s, look)


def _wait(claims: Sequence[Claim], limit_s: float, look: Callable[[], list[dict[str, float]]]) -> None:
    begin = reminded = time.monotonic()
    while not fits(look(), claims):
        now = time.monotonic()
        wanted = "; ".join(str(claim) for claim in claims)
        if now - begin >= limit_s:
            raise StageError(
                f"the cluster has no room for {wanted}: its nodes have {_shown(look())}; add nodes, or ask for less in "
                "the recipe's ClusterUse"
            )
        if now - reminded >= REMIND_EVERY_S:
            reminded = now
            log.warning("waiting for nodes with room for %s; there are %s", wanted, _shown(look()))
        time.sleep(min(_POLL_S, limit_s))


@contextmanager
def _asked_for(claims: Sequence[Claim]) -> Iterator[None]:
    """An autoscaler adds nodes for what somebody asks for, and nobody has asked yet. Without one nothing happens."""
    if not ray.is_initialized():
        yield
        return
    bundles = [{"CPU": c.cpus, **({"GPU": c.gpus} if c.gpus else {})} for c in claims for _ in range(c.count)]
    request_resources(bundles=bundles)
    try:
        yield
    finally:
        request_resources(bundles=[])


def fits(nodes: Sequence[Mapping[str, float]], claims: Sequence[Claim]) -> bool:
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


def node_resources() -> list[dict[str, float]]:
    """Total resources of every node that is alive."""
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _shown(nodes: Sequence[Mapping[str, float]]) -> str:
    each = [f"{n.get('CPU', 0):g} CPU, {n.get('GPU', 0):g} GPU, {n.get('memory', 0) / 2**30:.0f} GiB" for n in nodes]
    return "; ".join(f"{each.count(one)} × ({one})" for one in dict.fromkeys(each)) or "none"
