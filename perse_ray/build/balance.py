"""Numbers of workers of a pipeline's stages: what the cluster holds, in the proportion of their times.

Rows stream through all stages side by side, so the pipeline is as fast as its slowest stage. Workers are dealt one by
one to whichever stage is the slowest, as long as the cluster has room for one more of them. Stages without a GPU then
get workers to spare, as many as the square root of what they need (the rule of Erlang's telephone exchanges): rows come
in batches and not evenly, and a screen that is busy most of the time lets animators wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from perse.recipes.resources import WorkerPool
from perse_ray.build.room import claim_of
from perse_ray.runtime.claims import WorkerClaim, fits


@dataclass(frozen=True)
class BalancedStage:
    """Stage to be sized.

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
    sizes = _in_proportion(stages, nodes)
    bottleneck_s = max(stage.seconds / sizes[stage.name] for stage in stages)
    for stage in stages:
        needed = stage.seconds / bottleneck_s
        while not stage.pool.gpus and sizes[stage.name] < needed + sqrt(needed):
            larger = _one_more(stage, stages, sizes, nodes)
            if larger is None:
                break
            sizes = larger
    return sizes


def _in_proportion(stages: Sequence[BalancedStage], nodes: Sequence[Mapping[str, float]]) -> dict[str, int]:
    sizes = {stage.name: max(stage.pool.workers[0], 1) for stage in stages}
    growing = {stage.name for stage in stages}
    while growing:
        slowest = max((s for s in stages), key=lambda stage: stage.seconds / sizes[stage.name])
        if slowest.name not in growing:
            break  # the bottleneck cannot grow: more workers elsewhere would only wait
        larger = _one_more(slowest, stages, sizes, nodes)
        if larger is None:
            growing.remove(slowest.name)
        else:
            sizes = larger
    return sizes


def _one_more(
    stage: BalancedStage,
    stages: Sequence[BalancedStage],
    sizes: Mapping[str, int],
    nodes: Sequence[Mapping[str, float]],
) -> dict[str, int] | None:
    """Sizes with another worker of a stage; None where its pool or the nodes have no room for it."""
    larger = {**sizes, stage.name: sizes[stage.name] + 1}
    possible = larger[stage.name] <= stage.pool.workers[1] and fits(nodes, _claims(stages, larger))
    return larger if possible else None


def bound_s(stages: Sequence[BalancedStage], sizes: Mapping[str, int], rows: int) -> float:
    """Seconds that the slowest stage needs for all rows."""
    return max(rows * stage.seconds / sizes[stage.name] for stage in stages)


def _claims(stages: Sequence[BalancedStage], sizes: Mapping[str, int]) -> list[WorkerClaim]:
    return [claim_of(stage.pool, stage.name, sizes[stage.name]) for stage in stages]
