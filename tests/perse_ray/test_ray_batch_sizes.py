"""Batches for workers that take turns: all begin soon, and end together."""

from __future__ import annotations

import heapq

import pytest

from perse_ray.rows.batch_sizes import batch_sizes


def wall(sizes: list[int], workers: int) -> float:
    """Rows' times until the last worker is through, each taking the next batch when it is free."""
    free = [0] * workers
    for size in sizes:
        heapq.heapreplace(free, free[0] + size)
    return max(free)


@pytest.mark.parametrize(("rows", "workers"), [(957, 47), (120, 6), (30, 1), (15, 6), (1, 3), (1000, 365)])
def test_they_are_all_the_rows_and_end_together(rows: int, workers: int) -> None:
    sizes = batch_sizes(rows, 4, workers)
    assert sum(sizes) == rows and max(sizes) <= 4
    assert wall(sizes, workers) <= rows / workers + 2
    assert sizes[0] == 1, "the next stage begins after one row"


def test_full_batches_alone_would_end_much_later() -> None:
    """What the sizes are for: 957 prompts on 47 editors in fours take 24 rows' times, where 21 would do."""
    assert wall([4] * 239 + [1], 47) == 24
    assert wall(batch_sizes(957, 4, 47), 47) <= 22


def test_rows_one_by_one_stay_so() -> None:
    assert batch_sizes(5, 1, 2) == [1] * 5
    assert batch_sizes(0, 4, 2) == []
