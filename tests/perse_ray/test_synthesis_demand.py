"""Which prompts count depends on their verdicts alone."""

from __future__ import annotations

import random

import pytest

from perse_ray.synthesis.demand import Demand, refusal_rate


def played(refused: set[int], wanted: int, available: int, seed: int, workers: int) -> tuple[int, int]:
    """Verdicts in a random order, workers taking up likely prompts: how many are needed, and were begun, in the end."""
    draw = random.Random(seed)
    demand = Demand(wanted, available)
    under_way: list[int] = []
    begun = 0
    while True:
        while (number := demand.begin_needed()) is not None:
            under_way.append(number)
        while demand.waiting < workers and (number := demand.begin_ahead(refusal_rate([demand]))) is not None:
            under_way.append(number)
        begun = max([begun, *(number + 1 for number in under_way)])
        if not under_way:
            return demand.needed, begun
        judged = under_way.pop(draw.randrange(len(under_way)))
        demand.refuse(judged) if judged in refused else demand.accept(judged)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.7])
def test_what_is_needed_depends_on_neither_order_nor_workers(share: float) -> None:
    draw = random.Random(str(share))
    refused = {number for number in range(200) if draw.random() < share}
    accepted = [number for number in range(200) if number not in refused]
    expected = accepted[39] + 1
    for workers in (1, 7, 40):
        for seed in range(5):
            needed, begun = played(refused, 40, 200, seed, workers)
            assert needed == expected, (workers, seed)
            in_vain = sum(number not in refused for number in range(needed, begun))
            assert begun >= needed and in_vain <= workers
            assert begun == needed or workers > 1, "one worker alone never works ahead"


def test_a_stream_that_ends_is_a_shortfall() -> None:
    assert played(set(range(100)), 10, 40, 0, 7) == (40, 40)


def test_nothing_is_begun_ahead_before_anything_was_refused() -> None:
    demand = Demand(2, 10)
    assert [demand.begin_needed() for _ in range(3)] == [0, 1, None]
    assert demand.begin_ahead(refusal_rate([demand])) is None
    demand.refuse(0)
    assert refusal_rate([demand]) == 1.0 and demand.needed == 3 and demand.begin_needed() == 2
    assert demand.begin_ahead(1.0) == 3


def test_a_failure_after_acceptance_counts_and_old_news_do_not() -> None:
    demand = Demand(1, 3)
    demand.begin_needed()
    demand.accept(0)
    demand.refuse(0)
    demand.accept(0)
    demand.refuse(0)
    assert (demand.needed, demand.refused, demand.judged, demand.waiting) == (2, 1, 1, 0)
