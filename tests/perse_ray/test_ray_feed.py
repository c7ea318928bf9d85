"""Rows that join a pipeline while it runs: none is held back, none is loaded for anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from ray_fakes import Negate, Slow, Square

from perse.data.workspace import Workspace
from perse_ray.rows import feed, in_process, on_ray_data
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.feed import FIRST_PUSH_S, LAST_PUSH_S, Pusher
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
    """It fills no batch of the first stage, and the second one gives on a row every quarter of a second."""
    monkeypatch.setattr(feed, "FILL_S", 0.2)
    square = chain(tmp_path / "j")[0]
    slow = Stage(name="slow", work=Slow(0.25), reads=(), writes=())
    ledger = AttemptLedger(Workspace.open(tmp_path / "w"), "a")
    joined, others = False, 0
    started = [row(number) for number in range(16)]
    for found in on_ray_data.run(started, (square, slow), ledger, lambda r: [row(99)] if r["number"] == 0 else []):
        others += found["number"] != 99
        if others < len(started):
            joined = joined or "good-99" in (tmp_path / "j").read_text()
    assert others == len(started) and joined


def test_pushes_become_rarer_until_a_row_comes() -> None:
    now = [0.0]
    pusher = Pusher(lambda: now[0])
    pushed = []
    for second in range(1, 200):
        now[0] = float(second)
        if second == 40:
            pusher.row_came()
        if pusher.is_due():
            pushed.append(second)
    assert pushed == [2, 6, 14, 30, 42, 46, 54, 70, 100, 130, 160, 190]
    assert (FIRST_PUSH_S, LAST_PUSH_S) == (2.0, 30.0), "which these seconds follow from"
