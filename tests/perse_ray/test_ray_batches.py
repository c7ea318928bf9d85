"""Rows that are worked on together: quicker, and never less safe than one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from batch_fakes import BatchEditor, TogetherConfig, run_in_batches
from ray_fakes import FakeSupply, fake_studio, small_portrait

from perse.data import archive
from perse.data.workspace import Workspace
from perse_ray.rows import on_ray_data
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.fault_handling import GuardedWork
from perse_ray.rows.stage import OK, Row, Stage
from perse_ray.synthesis.synthesize import synthesize


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "w")


def stage(journal: Path, batch_size: int = 4) -> Stage:
    return Stage(
        name="square",
        work=TogetherConfig(str(journal)),
        reads=("number",),
        writes=(("square", 0),),
        batch_size=batch_size,
        time_limit_s=5.0,
        max_attempts=2,
    )


def rows(names: Iterable[str]) -> list[Row]:
    return [{"key": f"k{i}", "name": name, "number": i} for i, name in enumerate(names)]


def test_rows_are_prepared_together_and_finished_one_by_one(workspace: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    work = GuardedWork(stage(journal), AttemptLedger(workspace, "a"), watched=False)
    given = rows(["good"] * 3)
    work.prepare(given)
    assert [work(row)["square"] for row in given] == [0, 1, 4]
    assert journal.read_text().splitlines() == ["together 3"]
    work.prepare(given[:1])
    assert work(given[0])["square"] == 0
    assert journal.read_text().splitlines()[1:] == ["alone good"], "one row is no batch"


def test_a_batch_that_raises_goes_one_by_one_and_the_one_at_fault_is_found(
    workspace: Workspace, tmp_path: Path
) -> None:
    work = GuardedWork(stage(tmp_path / "journal"), AttemptLedger(workspace, "b"), watched=False)
    given = rows(["good", "raise-a", "good"])
    work.prepare(given)
    found = [work(row) for row in given]
    assert [row["status"] == OK for row in found] == [True, False, True]
    assert found[1]["error"] == "RuntimeError: two lines" and found[1]["attempts"] == 1


@pytest.mark.usefixtures("ray_session")
def test_a_batch_that_kills_its_process_is_never_tried_as_a_batch_again(workspace: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    given = rows(["good", "exit-a", "good", "good", "good", "good", "good", "good"])
    found = {row["key"]: row for row in on_ray_data.run(given, (stage(journal),), AttemptLedger(workspace, "c"))}
    assert len(found) == 8
    assert [key for key, row in found.items() if row["status"] != OK] == ["k1"]
    assert "ended its worker process" in str(found["k1"]["error"])
    assert all(row["square"] == int(row["number"]) ** 2 for row in found.values() if row["status"] == OK)
    words = Counter(journal.read_text().splitlines())
    assert words["together 4"] == 2, "once for each batch"
    assert words["alone exit-a"] == 2, "as often as max_attempts says"


def test_an_editor_of_batches_fills_quarantine_with_reasons_and_loses_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    archive.save_portrait(workspace, small_portrait())
    journal = tmp_path / "journal"
    studio = fake_studio(journal)
    batched = replace(studio, editor=BatchEditor(str(journal)), edit_pool=replace(studio.edit_pool, batch_size=4))
    supply = FakeSupply(count=3, texts=(("hat-0001", "a black hat"),))

    found = synthesize(workspace, batched, supply, execute=run_in_batches)
    assert len(found.subjects) == 6 and not found.shortfall
    (bad,) = found.quarantined
    assert bad.name == "hat-0001" and "black picture" in bad.error and bad.stage == "edit"
    lines = [line for line in journal.read_text().splitlines() if line.startswith(("together", "alone"))]
    assert lines == ["together 3", "together 3", "alone hat-0003"], "the reference needs no edit; a reserve is no batch"
