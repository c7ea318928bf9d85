"""Stages: Ray and inline agree row for row, and no row is lost, repeated or able to stop the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from ray_fakes import Homeless, Negate, Square

from perse.data.workspace import Workspace
from perse.errors import StageError, WorkspaceError
from perse_ray.rows import in_process, on_ray_data
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.stage import FAILED, OK, Row, Stage, check_chain


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "w")


def chain(journal: Path) -> tuple[Stage, ...]:
    square = Stage(
        name="square",
        work=Square(str(journal)),
        reads=("number",),
        writes=(("square", 0),),
        batch_size=2,
        time_limit_s=2.0,
        max_attempts=2,
    )
    negate = Stage(name="negate", work=Negate(), reads=("square",), writes=(("negative", 0),))
    return square, negate


def rows(names: Iterable[str]) -> list[Row]:
    return [{"key": f"k{i}", "name": name, "number": i} for i, name in enumerate(names)]


def by_key(found: Iterable[Row]) -> dict[str, Row]:
    found = list(found)
    assert len({row["key"] for row in found}) == len(found), "a row came twice"
    return {str(row["key"]): row for row in found}


@pytest.mark.usefixtures("ray_session")
def test_ray_and_inline_agree(workspace: Workspace, tmp_path: Path) -> None:
    stages = chain(tmp_path / "journal")
    given = rows(["good", "raise-a", "good", "good", "raise-b", "good", "good"])
    here = by_key(in_process.run(given, stages, AttemptLedger(workspace, "inline")))
    there = by_key(on_ray_data.run(given, stages, AttemptLedger(workspace, "ray")))
    assert here == there
    assert [row["negative"] for row in here.values() if row["status"] == OK] == [0, -4, -9, -25, -36]
    bad = here["k1"]
    assert (bad["failed_stage"], bad["error"], bad["attempts"]) == ("square", "RuntimeError: two lines", 1)
    assert "_work" in str(bad["traceback"])
    assert Counter((tmp_path / "journal").read_text().split())["raise-a"] == 2, "once in each executor, never again"


@pytest.mark.usefixtures("ray_session")
def test_rows_that_kill_or_hang_their_worker_are_quarantined_and_the_run_ends(
    workspace: Workspace, tmp_path: Path
) -> None:
    names = ["good", "exit-a", "good", "segfault-a", "good", "hang-a", "good", "good"]
    ledger = AttemptLedger(workspace, "poison")
    found = by_key(on_ray_data.run(rows(names), chain(tmp_path / "journal"), ledger))
    assert len(found) == len(names)
    for key, row in found.items():
        assert (row["status"] == OK) == (row["name"] == "good"), key
    assert "ended its worker process" in str(found["k1"]["error"])
    assert "Segmentation fault" in str(found["k3"]["error"])
    assert "_work" in str(found["k3"]["traceback"]), "of many threads, the one that had the row"
    assert "took longer than 2 s" in str(found["k5"]["error"])
    assert "_work" in str(found["k5"]["traceback"]), "the stack of the moment when it was stopped"
    starts = Counter((tmp_path / "journal").read_text().split())
    assert all(starts[name] == 2 for name in names if name != "good"), "as often as max_attempts says"
    assert all(row["attempts"] == 2 for row in found.values() if row["status"] == FAILED)


@pytest.mark.usefixtures("ray_session")
def test_a_worker_that_cannot_be_built_ends_the_run_with_its_own_message(workspace: Workspace) -> None:
    stage = Stage(name="homeless", work=Homeless(), reads=(), writes=())
    for more in (on_ray_data.no_more, lambda _: []):
        with pytest.raises(StageError, match="homeless stopped: the model is not there; run `make models`") as caught:
            list(on_ray_data.run(rows(["good"]), (stage,), AttemptLedger(workspace, "homeless"), more))
        # While the error is on its way to whoever tells it, which keeps all its frames alive: a thread of Ray Data that
        # outlives Ray starts another one, and the process ends without a word.
        assert caught.value is not None
        assert [one.name for one in threading.enumerate() if one.name.startswith("StreamingExecutor")] == []


@pytest.mark.usefixtures("ray_session")
def test_a_full_disk_ends_the_run_and_blames_no_row(workspace: Workspace, tmp_path: Path) -> None:
    stages = chain(tmp_path / "journal")
    with pytest.raises(StageError, match="stage square stopped: the disk is full"):
        list(on_ray_data.run(rows(["full-a", "full-b"]), stages, AttemptLedger(workspace, "there")))
    with pytest.raises(WorkspaceError, match="the disk is full"):
        list(in_process.run(rows(["full-a"]), stages, AttemptLedger(workspace, "here")))


def test_the_ledger_counts_only_starts_without_an_end_in_its_own_run(workspace: Workspace) -> None:
    ledger = AttemptLedger(workspace, "a")
    assert [ledger.start("edit", "k"), ledger.start("edit", "k"), ledger.start("screen", "k")] == [0, 1, 0]
    assert AttemptLedger(workspace, "b").start("edit", "k") == 0
    ledger.finish("edit", "k")
    assert ledger.start("edit", "k") == 0
    ledger.close()
    assert workspace.names("quarantine/attempts/a/edit/k") == []


def test_a_failed_row_passes_by_with_default_columns(workspace: Workspace, tmp_path: Path) -> None:
    (row,) = in_process.run(rows(["raise-a"]), chain(tmp_path / "journal"), AttemptLedger(workspace, "x"))
    assert (row["square"], row["negative"], row["failed_stage"]) == (0, 0, "square")


def test_no_rows_is_no_work(workspace: Workspace, tmp_path: Path) -> None:
    stages = chain(tmp_path / "journal")
    assert list(in_process.run([], stages, AttemptLedger(workspace, "x"))) == []
    assert list(on_ray_data.run([], stages, AttemptLedger(workspace, "x"))) == []


def test_columns_must_be_there(tmp_path: Path) -> None:
    square, negate = chain(tmp_path / "journal")
    check_chain({"key", "name", "number"}, (square, negate))
    with pytest.raises(ValueError, match=r"negate reads \['square'\]"):
        check_chain({"key", "name", "number"}, (negate, square))


def test_a_stage_may_write_only_what_it_declares(workspace: Workspace, tmp_path: Path) -> None:
    square = replace(chain(tmp_path / "journal")[0], writes=())
    (row,) = in_process.run(rows(["good"]), (square,), AttemptLedger(workspace, "x"))
    assert row["status"] == FAILED and "does not declare" in str(row["error"])


@pytest.mark.parametrize("wrong", [{"workers": (0, 1)}, {"workers": (2, 1)}, {"time_limit_s": 0}, {"name": "a b"}])
def test_impossible_stages_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(chain(tmp_path / "journal")[0], **wrong)  # type: ignore[arg-type]
