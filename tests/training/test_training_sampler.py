"""What steps look at: pure, fair, and shared out without talking."""

from __future__ import annotations

from collections import Counter

import pytest

from perse.attributes import Category
from perse.training.sampler import curriculum_pool, joined, sample_step

POOL = list(range(1, 8))


def test_a_step_is_a_function_of_seed_and_number() -> None:
    first = [sample_step(3, step, POOL, 20, 3) for step in range(30)]
    again = [sample_step(3, step, POOL, 20, 3) for step in reversed(range(30))][::-1]
    assert first == again
    assert first != [sample_step(4, step, POOL, 20, 3) for step in range(30)]


def test_the_reference_is_in_every_step_and_subjects_are_distinct() -> None:
    for step in range(50):
        sample = sample_step(0, step, POOL, 20, 3)
        assert sample.subjects[0] == 0
        assert len(set(sample.subjects)) == len(sample.subjects)
        assert all(0 <= frame < 20 for frame in sample.frames)


def test_every_subject_comes_equally_often_and_goes_through_all_its_frames() -> None:
    samples = [sample_step(0, step, POOL, 5, 1) for step in range(len(POOL) * 10)]
    seen = [(s, f) for sample in samples for s, f in zip(sample.subject_of_frame[1:], sample.frames[1:], strict=True)]
    assert set(Counter(s for s, _ in seen).values()) == {10}
    assert set(Counter(seen).values()) == {2}


def test_workers_share_one_pass() -> None:
    """Two workers with one edit each see, over time, what one worker with two would."""
    two = [sample_step(0, step, POOL, 5, 1, rank=rank, world=2) for step in range(21) for rank in (0, 1)]
    one = [sample_step(0, step, POOL, 5, 1) for step in range(42)]
    assert [s.subjects[1:] for s in two] == [s.subjects[1:] for s in one]


def test_joining_samples_keeps_their_frames() -> None:
    parts = [sample_step(0, 4, POOL, 9, 2, rank=rank, world=3) for rank in range(3)]
    whole = joined(parts)
    rows = [(s, f) for p in parts for s, f in zip(p.subject_of_frame, p.frames, strict=True)]
    assert list(zip(whole.subject_of_frame, whole.frames, strict=True)) == rows
    assert len(set(whole.subjects)) == len(whole.subjects)


@pytest.mark.parametrize("pool", [[], [5]])
def test_small_pools_are_no_trouble(pool: list[int]) -> None:
    sample = sample_step(0, 7, pool, 3, 3)
    assert list(sample.subjects) == [0, *pool]


def test_a_curriculum_lets_categories_join_one_after_another() -> None:
    categories = [None, Category.HAT, Category.HAIR, Category.NOSE]
    stages = ((0.0, (Category.HAIR,)), (0.5, (Category.HAT,)))
    assert curriculum_pool(categories, stages, 0.2) == [2]
    assert curriculum_pool(categories, stages, 0.5) == [1, 2]
    assert curriculum_pool(categories, (), 0.0) == [1, 2, 3]
