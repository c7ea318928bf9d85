"""Placement on the cluster: what has no room is told within a minute, instead of being waited for without a word.

Ray itself waits for ever for a node that could hold an actor. Whether one *could* is known from the nodes' totals.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import ray
from ray.autoscaler.sdk import request_resources

from perse.errors import StageError
from perse_ray.runtime.claims import WorkerClaim, fits

log = logging.getLogger(__name__)

REMIND_EVERY_S = 30.0
_POLL_S = 1.0


def await_room(
    claims: Sequence[WorkerClaim], limit_s: float, nodes: Callable[[], list[dict[str, float]]] | None = None
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


def _wait(claims: Sequence[WorkerClaim], limit_s: float, look: Callable[[], list[dict[str, float]]]) -> None:
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
def _asked_for(claims: Sequence[WorkerClaim]) -> Iterator[None]:
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


def node_resources() -> list[dict[str, float]]:
    """Total resources of every node that is alive."""
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _shown(nodes: Sequence[Mapping[str, float]]) -> str:
    each = [f"{n.get('CPU', 0):g} CPU, {n.get('GPU', 0):g} GPU, {n.get('memory', 0) / 2**30:.0f} GiB" for n in nodes]
    return "; ".join(f"{each.count(one)} × ({one})" for one in dict.fromkeys(each)) or "none"
