"""Room on a cluster: known from its nodes, asked for, and said when it is not there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perse.errors import StageError
from perse.recipes import recipe_named
from perse.recipes.resources import WorkerPool
from perse_ray.build.balance import BalancedStage, balanced, bound_s
from perse_ray.build.room import equal_nodes, morph_actors
from perse_ray.runtime.claims import WorkerClaim, fits, room_for
from perse_ray.runtime.placement import await_room

GIB = float(2**30)


def nodes(count: int, cpus: float = 16, gpus: float = 8, memory_gib: float = 512) -> list[dict[str, float]]:
    return [{"CPU": cpus, "GPU": gpus, "memory": memory_gib * GIB}] * count


TRAINERS = WorkerClaim(what="trainers", count=8, cpus=1, gpus=0.75, memory_gib=8)
MORPHERS = WorkerClaim(what="morph actors", count=8, cpus=1, gpus=0.25, memory_gib=8)


def test_claims_fit_only_if_all_have_a_place_at_the_same_time() -> None:
    assert fits(nodes(1), [TRAINERS, MORPHERS])
    assert not fits(nodes(1), [TRAINERS, replace(MORPHERS, count=9)])
    assert not fits(nodes(1), [TRAINERS, replace(MORPHERS, memory_gib=100)])


def test_a_worker_needs_one_node_that_holds_it_whole() -> None:
    wide = WorkerClaim(what="editors", count=1, cpus=4, gpus=1, memory_gib=64)
    assert not fits(nodes(8, memory_gib=32), [wide]), "eight halves are no whole"
    assert fits([*nodes(8, memory_gib=32), *nodes(1)], [wide])


def test_as_many_workers_are_counted_as_have_room_beside_others() -> None:
    trainers = replace(TRAINERS, count=8)
    for many in (1, 2, 8):
        held = room_for(nodes(many), MORPHERS, [trainers], at_most=1024)
        assert fits(nodes(many), [trainers, replace(MORPHERS, count=held)])
        assert not fits(nodes(many), [trainers, replace(MORPHERS, count=held + 1)])
    assert room_for(nodes(1), MORPHERS, [trainers], at_most=3) == 3
    assert room_for(nodes(1, gpus=0), MORPHERS, at_most=3) == 0


def test_the_pool_of_morph_actors_is_no_larger_than_the_cluster() -> None:
    """1024 is the recipe's bound; eight GPUs have a quarter of each left, 64 have 56 whole ones besides."""
    cluster = recipe_named("paper").cluster
    assert cluster.morph.workers == (2, 1024)
    assert morph_actors(cluster, equal_nodes(1, 8)) == (2, 8)
    assert morph_actors(cluster, equal_nodes(8, 8)) == (2, 8 + 4 * 56)
    assert morph_actors(cluster, equal_nodes(8, 8, cpus=48)) == (2, (8 * 48 - 8 * 4) // 2), "cores, where those are few"
    assert morph_actors(cluster, equal_nodes(1, 1)) == (2, 2), "too few: whoever starts it says so"
    tiny = recipe_named("paper-tiny").cluster
    assert morph_actors(tiny, equal_nodes(8, 8)) == tiny.morph.workers


def test_room_that_comes_late_is_waited_for_and_room_that_does_not_come_is_named() -> None:
    looks = iter([nodes(0), nodes(0), nodes(1), nodes(1)])
    await_room([TRAINERS], 5.0, lambda: next(looks))
    with pytest.raises(StageError, match=r"no room for 8 trainers of 1 CPU, 0.75 GPU, 8 GiB each.*2 × \(16 CPU, 0 GPU"):
        await_room([TRAINERS], 0.2, lambda: nodes(2, gpus=0))


EDIT = BalancedStage("edit", WorkerPool(workers=(1, 1024), cpus=2, gpus=1), 20.0)
SCREEN = BalancedStage("screen", WorkerPool(workers=(1, 1024), cpus=1), 0.6)
ANIMATE = BalancedStage("animate", WorkerPool(workers=(1, 1024), cpus=1), 30.0)


def test_workers_are_dealt_in_the_proportion_of_the_stages_times() -> None:
    stages = [EDIT, SCREEN, ANIMATE]
    sizes = balanced(stages, nodes(8, cpus=48))
    assert sizes["edit"] == 64, "GPUs are what is scarce, and none is left idle"
    assert 96 + 9 <= sizes["animate"] <= 96 + 11, "half as many again, for their clips take longer, and some spare"
    assert sizes["screen"] == 4, "two would do, if rows came evenly"
    on_gpus = replace(ANIMATE, pool=replace(ANIMATE.pool, gpus=0.25))
    assert balanced([EDIT, SCREEN, on_gpus], nodes(8, cpus=48))["animate"] <= 70, "no GPU is spare"
    assert bound_s(stages, sizes, 957) == pytest.approx(957 * 20 / 64)


def test_pools_keep_their_bounds() -> None:
    limited = [replace(EDIT, pool=WorkerPool(workers=(2, 4), gpus=1)), ANIMATE]
    assert balanced(limited, nodes(8))["edit"] == 4
    assert balanced(limited, nodes(0)) == {"edit": 2, "animate": 1}, "the smallest pools, room or not: the run will say"
