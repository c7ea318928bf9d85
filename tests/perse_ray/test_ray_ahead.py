"""Targets come in order and complete, whatever happens to the actors that make them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from ray_fakes import Doubling

from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.training.prefetch import Ahead, AheadConfig

pytestmark = pytest.mark.usefixtures("ray_session")
TWO = AheadConfig(actors=2, window=4)


def every_third_without(step: int) -> int | None:
    return None if step % 3 == 2 else step


def requests(journal: Path) -> Counter[int]:
    return Counter(int(line.split()[1]) for line in journal.read_text().splitlines())


def test_every_step_gets_its_own_target_and_a_second_run_finds_them(tmp_path: Path) -> None:
    workspace, journal = Workspace.open(tmp_path / "w"), tmp_path / "j"
    for run in range(2):
        ahead = Ahead(Doubling(str(journal)), every_third_without, workspace, start=0, stop=12, config=TWO)
        for step in range(12):
            target = ahead.get(step)
            assert target is None if step % 3 == 2 else target is not None and int(target["doubled"][0, 0]) == 2 * step
        ahead.close()
        assert (ahead.stats.made, ahead.stats.found) == ((8, 0) if run == 0 else (0, 8))
    assert set(requests(journal).values()) == {1}
    assert len(workspace.names("morphs", ".npz")) == 8


def test_an_actor_that_is_killed_costs_a_retry_and_no_step(tmp_path: Path) -> None:
    workspace, journal = Workspace.open(tmp_path / "w"), tmp_path / "j"
    ahead = Ahead(Doubling(str(journal), pause_s=0.1), lambda step: step, workspace, start=0, stop=30, config=TWO)
    for step in range(30):
        if step in (5, 15):
            os.kill(int(journal.read_text().splitlines()[-1].split()[0]), signal.SIGKILL)
        target = ahead.get(step)
        assert target is not None and int(target["doubled"][0, 0]) == 2 * step
    ahead.close()
    assert ahead.stats.retries >= 2 and ahead.stats.given_up == 0
    assert sum(requests(journal).values()) <= 30 + ahead.stats.retries


def test_a_request_that_cannot_be_met_is_given_up_until_none_can(tmp_path: Path) -> None:
    workspace, journal = Workspace.open(tmp_path / "w"), tmp_path / "j"
    work = Doubling(str(journal), mishaps=tuple((number, "raise") for number in (3, *range(8, 20))))
    ahead = Ahead(work, lambda step: step, workspace, start=0, stop=20, config=TWO)
    assert [ahead.get(step) is None for step in range(8)] == [step == 3 for step in range(8)]
    with pytest.raises(StageError, match=r"3 targets in a row could not be made.*two"):
        for step in range(8, 20):
            ahead.get(step)
    ahead.close()
    assert ahead.stats.made == 7
