"""What the pipeline's rules allow: computed in a second, where running it takes minutes of sleep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.pipeline_timetable import recipe_for, timetable
from perse_ray.build.room import equal_nodes
from perse_ray.synthesis.demand import Demand


@pytest.mark.parametrize(("gpus", "busy"), [(2, 0.95), (8, 0.93), (64, 0.95)])
def test_the_bottleneck_is_busy_and_the_plan_agrees(gpus: int, busy: float) -> None:
    """On eight GPUs as many animators make fifteen clips each, and the last round is not full."""
    found = timetable(recipe_for(gpus), equal_nodes(1, gpus))
    assert found.wall_s <= 1.15 * found.bound_s
    assert found.busy >= busy
    # The plan expects one in twenty refused; it knows nothing of a last round that is not full, 10 % on eight GPUs.
    refused_none = 0.05 if found.needed == sum(count for _, count in recipe_for(gpus).prompts.counts) else 0.0
    assert found.planned_s == pytest.approx(found.wall_s, rel=0.1 + refused_none)
    assert found.edits - found.needed <= 0.01 * found.edits + 1, "ahead of need, and in vain"


def test_whoever_is_refused_the_wall_keeps_to_its_bound() -> None:
    drawn = [timetable(recipe_for(64), equal_nodes(1, 64), lot=f"{lot} ") for lot in range(8)]
    assert max(one.wall_s / one.bound_s for one in drawn) <= 1.15
    assert len({one.edits for one in drawn}) > 1, "other edits are refused"


def test_without_work_ahead_of_need_the_last_replacements_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = timetable(recipe_for(64), equal_nodes(8, 8), refused_share=0.3)
    monkeypatch.setattr(Demand, "begin_ahead", lambda self, rate: None)
    behind = timetable(recipe_for(64), equal_nodes(8, 8), refused_share=0.3)
    assert ahead.needed == behind.needed == behind.edits, "what counts is the same"
    assert behind.wall_s - ahead.wall_s > 20, "at least the time of an edit"


def test_larger_batches_keep_the_animators_waiting() -> None:
    recipe = recipe_for(64)
    fours = replace(recipe, cluster=replace(recipe.cluster, edit=replace(recipe.cluster.edit, batch_size=4)))
    nodes = equal_nodes(8, 8)
    assert timetable(fours, nodes).wall_s > timetable(recipe, nodes).wall_s + 10


def test_batches_are_cut_for_the_editors() -> None:
    """The feed cuts them for the stage with the largest ones, and for as many workers as that has."""
    cluster = recipe_for(64).cluster
    assert cluster.edit.batch_size > max(cluster.screen.batch_size, cluster.animate.batch_size)
