"""Rows that join a pipeline while it runs: none is held back, none is loaded for anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray_fakes import Negate, Square, Until

from perse.data.workspace import Workspace
from perse.errors import RecipeError
from perse_ray.rows import feed, in_process, on_ray_data
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.feed import FIRST_PUSH_S, LAST_PUSH_S, FillerTimer
from perse_ray.rows.stage import Row, Stage


def chain(journal: Path) -> tuple[Stage, ...]:
    return (
        Stage(name="square", work=Square(str(journal)), reads=("number",), writes=(("square", 0),), batch_size=4),
        Stage(name="negate", work=Negate(), reads=("square",), writes=(("negative", 0),), batch_size=3),
    )


def row(number: int) -> Row:
    return {"key": f"k{number}", "name": f"good-{number}", "number": number}


def one_more(done: Row) -> list[Row]:
    """Rows 0 and 3 bring one along each, and row 10 another one."""
    number = int(done["number"])
    return [row(number + 10)] if number in (0, 3, 10) else []


@pytest.mark.usefixtures("ray_session")
def test_added_rows_come_out_though_they_fill_no_batch(tmp_path: Path) -> None:
    workspace, journal = Workspace.open(tmp_path / "w"), tmp_path / "j"
    started = [row(number) for number in range(5)]
    there = list(on_ray_data.run(started, chain(journal), AttemptLedger(workspace, "there"), one_more))
    here = list(in_process.run(started, chain(tmp_path / "i"), AttemptLedger(workspace, "here"), one_more))
    expected = {n: -(n * n) for n in (0, 1, 2, 3, 4, 10, 13, 20)}
    for found in (there, here):
        assert {int(r["number"]): r["negative"] for r in found} == expected
        assert len(found) == len(expected)
    assert sorted(journal.read_text().split()) == sorted(f"good-{n}" for n in expected), "each was worked on once"


@pytest.mark.usefixtures("ray_session")
def test_a_row_that_joins_is_worked_on_while_others_still_come_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fills no batch of the first stage; half of the rows wait before the second stage until it is there."""
    monkeypatch.setattr(feed, "FILL_S", 0.2)
    square = chain(tmp_path / "j")[0]
    behind = Stage(name="behind", work=Until(str(tmp_path / "j"), "good-99", 8), reads=(), writes=(), time_limit_s=120)
    ledger = AttemptLedger(Workspace.open(tmp_path / "w"), "a")
    started = [row(number) for number in range(16)]
    found = list(on_ray_data.run(started, (square, behind), ledger, lambda r: [row(99)] if r["number"] == 0 else []))
    assert sorted(r["number"] for r in found) == [*range(16), 99]
    assert "late" not in (tmp_path / "j").read_text()


@pytest.mark.usefixtures("ray_session")
def test_news_of_a_row_do_not_wait_for_the_stages_behind(tmp_path: Path) -> None:
    """The last of sixteen rows brings one along as soon as the announced stage is through with it: half of the rows
    wait for that before the second stage, and the last one would never come out of it otherwise. What joins late is no
    batch, since workers are idle."""
    journal = tmp_path / "j"
    square = replace(chain(journal)[0], announced=True)
    behind = Stage(name="behind", work=Until(str(journal), "good-99", 8), reads=(), writes=(), time_limit_s=120)
    ledger = AttemptLedger(Workspace.open(tmp_path / "w"), "a")
    others = []

    def more(asked: Row) -> list[Row]:
        others.append(asked["number"])
        return [row(99)] if asked["number"] == 15 and others.count(15) == 1 else []

    found = list(on_ray_data.run([row(n) for n in range(16)], (square, behind), ledger, more))
    assert "late" not in journal.read_text()
    assert found[-1]["number"] == 99 and sorted(set(others)) == [*range(16), 99]


@pytest.mark.usefixtures("ray_session")
def test_a_fault_in_hearing_news_ends_the_run_and_is_not_swallowed(tmp_path: Path) -> None:
    def broken(_: Row) -> list[Row]:
        raise RecipeError("no prompts are left")

    square = replace(chain(tmp_path / "j")[0], announced=True)
    with pytest.raises(RecipeError, match="no prompts are left"):
        list(on_ray_data.run([row(1)], (square,), AttemptLedger(Workspace.open(tmp_path / "w"), "a"), broken))


def test_news_are_told_in_this_process_too_and_once_for_each_step(tmp_path: Path) -> None:
    square, negate = chain(tmp_path / "j")
    asked = []
    given = [row(1), {**row(2), "name": "raise-2"}]
    ledger = AttemptLedger(Workspace.open(tmp_path / "w"), "a")
    list(in_process.run(given, (replace(square, announced=True), negate), ledger, lambda r: asked.append(r) or []))
    told = [(r["number"], r["status"], r.get("negative", "not yet")) for r in asked]
    assert told == [(1, "ok", "not yet"), (1, "ok", -1), (2, "failed", "not yet"), (2, "failed", 0)]


def test_pushes_become_rarer_until_a_row_comes() -> None:
    now = [0.0]
    timer = FillerTimer(lambda: now[0])
    pushed = []
    for second in range(1, 200):
        now[0] = float(second)
        if second == 40:
            timer.row_came()
        if timer.is_due():
            pushed.append(second)
    assert pushed == [2, 6, 14, 30, 42, 46, 54, 70, 100, 130, 160, 190]
    assert (FIRST_PUSH_S, LAST_PUSH_S) == (2.0, 30.0), "which these seconds follow from"


@dataclass
class FakeActor:
    """In the place of the feed's actor: writes down what it is handed, and tells what it is given to tell."""

    put_rows: list[list[Row]] = field(default_factory=list)
    told: list[Row] = field(default_factory=list)

    def __getattr__(self, name: str) -> FakeMethod:
        return FakeMethod(self, name)


@dataclass
class FakeMethod:
    actor: FakeActor
    name: str

    def remote(self, *arguments: Any) -> list[Row]:
        if self.name == "put":
            self.actor.put_rows.append(arguments[0])
        return self.actor.told


def fed(monkeypatch: pytest.MonkeyPatch, rows: int, get: Callable[[Any], Any]) -> tuple[feed.RowFeed, FakeActor]:
    """A feed for two workers with batches of four."""
    actor = FakeActor()
    monkeypatch.setattr(feed.ray, "remote", lambda **_: lambda _: SimpleNamespace(remote=lambda: actor))
    monkeypatch.setattr(feed.ray, "get", get)
    return feed.RowFeed([row(number) for number in range(rows)], 4, workers=2), actor


def test_a_feed_does_not_wait_for_the_process_that_hands_its_rows_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes seconds to start, and longer where all stages' workers start: they need not wait for it."""
    begun, actor = fed(monkeypatch, 7, lambda _: pytest.fail("it waits"))
    begun.add([row(7)])
    begun.push()
    assert begun.outstanding == 8 and len(actor.put_rows) == 3


def test_a_row_that_joins_is_a_batch_when_workers_are_idle_whatever_waits_behind_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thirty rows are under way. While the workers have them before them, two that join share a batch; when all but
    sixteen have passed them, and stand before the next stage, each of two is a batch with three fillers."""
    begun, actor = fed(monkeypatch, 30, lambda answer: answer)
    begun.add([row(30), row(31)])
    assert [one["number"] for one in actor.put_rows[-1]] == [30, 31]
    actor.told = [row(number) for number in range(16)]
    begun.news()
    begun.add([row(32), row(33)])
    completed, *singles = actor.put_rows[-3:]
    assert [one["status"] for one in completed] == [feed.FILLER] * 2, "the batch of the first two is not held back"
    assert [[one["status"] == feed.FILLER for one in batch] for batch in singles] == [[False, True, True, True]] * 2
    assert begun.outstanding == 34, "they have not come out"
