"""How many workers each stage of a pipeline should have: what the cluster holds, in the proportion of their times.

Rows stream through all stages side by side, so the pipeline is as fast as its slowest stage. Workers are dealt one by
one to whichever stage is the slowest, as long as the cluster has room for one more of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perse.recipes.resources import WorkerPool
from perse_ray.build.room import claim_of
from perse_ray.runtime.claims import Claim, fits


@dataclass(frozen=True)
class BalancedStage:
    """A stage to be sized.

    Attributes:
        name: of the stage.
        pool: what a worker claims, and the bounds of their number.
        seconds: of one worker for one row.
    """

    name: str
    pool: WorkerPool
    seconds: float


def balanced(stages: Sequence[BalancedStage], nodes: Sequence[Mapping[str, float]]) -> dict[str, int]:
    """Workers of each stage on nodes with given resources; at least each pool's smallest number, whether or not there
    is room for that."""
    sizes = {stage.name: max(stage.pool.workers[0], 1) for stage in stages}
    growing = {stage.name for stage in stages}
    while growing:
        slowest = max((s for s in stages), key=lambda stage: stage.seconds / sizes[stage.name])
        if slowest.name not in growing:
            break  # the bottleneck cannot grow: more workers elsewhere would only wait
        larger = {**sizes, slowest.name: sizes[slowest.name] + 1}
        if larger[slowest.name] <= slowest.pool.workers[1] and fits(nodes, _claims(stages, larger)):
            sizes = larger
        else:
            growing.remove(slowest.name)
    return sizes


def bound_s(stages: Sequence[BalancedStage], sizes: Mapping[str, int], rows: int) -> float:
    """Seconds that the slowest stage needs for all rows."""
    return max(rows * stage.seconds / sizes[stage.name] for stage in stages)


def _claims(stages: Sequence[BalancedStage], sizes: Mapping[str, int]) -> list[Claim]:
    return [claim_of(stage.pool, stage.name, sizes[stage.name]) for stage in stages]
