"""One driver at a time, on disks and object stores, and no dead one for ever."""

from __future__ import annotations

import itertools
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perse.data import workspace_lock
from perse.data.workspace import Workspace
from perse.data.workspace_lock import FOLDER, LEASE_S, Claim, Other, claim, holder, locked, new_claim
from perse.errors import WorkspaceError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "w")


def elsewhere(one: Claim) -> Claim:
    """As if made on another machine."""
    return replace(one, host="another-machine")


def test_the_second_is_told_who_holds_it(workspace: Workspace) -> None:
    with locked(workspace) as mine:
        assert holder(workspace) == mine
        with (
            pytest.raises(WorkspaceError, match=r"held by .* \(process \d+\), since .*--wait") as caught,
            locked(workspace),
        ):
            pass
        assert socket.gethostname() in str(caught.value) and "\n" not in str(caught.value)
    assert holder(workspace) is None and workspace.names(FOLDER) == []
    with locked(workspace):
        pass


def test_it_is_given_back_after_an_error_too(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt), locked(workspace):
        raise KeyboardInterrupt
    assert holder(workspace) is None


def test_waiting_ends_when_it_is_free(workspace: Workspace) -> None:
    held = locked(workspace)
    held.__enter__()
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            held.__exit__(None, None, None)

    with locked(workspace, wait=True, sleep=nap):
        assert len(naps) == 3


def test_a_dead_process_of_this_machine_holds_nothing(workspace: Workspace) -> None:
    """After a SIGKILL the same command goes on at once."""
    code = "import os, sys\nfrom perse.data.workspace import Workspace\nfrom perse.data.workspace_lock import locked\n"
    code += "with locked(Workspace(sys.argv[1])):\n    print('held', flush=True)\n    os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, workspace.location], capture_output=True, text=True, check=False)
    assert done.stdout == "held\n" and workspace.names(FOLDER)
    with locked(workspace) as mine:
        assert workspace.names(FOLDER) == [f"{mine.token}.json"]


def test_another_process_with_a_dead_ones_number_is_not_it(workspace: Workspace) -> None:
    first = claim(workspace, replace(new_claim(time.time()), started="1"))
    assert isinstance(first, Claim)
    with locked(workspace):
        pass


def test_another_machines_claim_counts_until_its_lease_ends(workspace: Workspace) -> None:
    now = time.time()
    assert isinstance(claim(workspace, elsewhere(new_claim(now))), Claim)
    with pytest.raises(WorkspaceError, match="another-machine"), locked(workspace):
        pass
    with locked(workspace, clock=lambda: now + LEASE_S + 1):
        pass


def test_a_claim_is_renewed_and_a_lost_one_ends_the_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_lock, "RENEW_S", 0.02)
    interrupted = threading.Event()
    monkeypatch.setattr(workspace_lock._thread, "interrupt_main", interrupted.set)
    with locked(workspace) as mine:
        while (renewed := holder(workspace)) is None or renewed.until == mine.until:
            time.sleep(0.01)
        workspace.remove(f"{FOLDER}/{mine.token}.json")
        assert interrupted.wait(10)


def test_what_else_lies_there_is_nobody(workspace: Workspace) -> None:
    for number, content in enumerate([b"", b"[]", b"{}", b"\xff", b'{"token": 1}']):
        workspace.write(f"{FOLDER}/{number}.json", content)
    with locked(workspace):
        pass


def steps(workspace: Workspace, mine: Claim) -> Iterator[Callable[[], object]]:
    """A driver that stops before every operation on the store."""
    turn = threading.Semaphore(0)
    done = threading.Semaphore(0)

    class Stepped(Workspace):
        def write(self, name: str, content: bytes) -> None:
            turn.acquire()
            super().write(name, content)
            done.release()

        def names(self, folder: str) -> list[str]:
            turn.acquire()
            found = super().names(folder)
            done.release()
            return found

    outcome: list[Claim | Other] = []
    thread = threading.Thread(target=lambda: (outcome.append(claim(Stepped(workspace.location), mine)), done.release()))
    thread.start()
    for _ in range(4):
        if not thread.is_alive():
            break

        def step() -> None:
            turn.release()
            done.acquire()

        yield step
        time.sleep(0.002)  # what follows the operation: a comparison
    for _ in range(4):
        turn.release()
    thread.join()
    yield lambda: outcome[0]


def test_two_never_hold_it_in_whatever_order_their_steps_come(tmp_path: Path) -> None:
    """All interleavings of the four operations of two drivers, with clocks that agree and that do not."""
    ways = sorted(set(itertools.permutations("aaaabbbb")))
    winners = set()
    for number, way in enumerate(random.Random(0).sample(ways, 35)):
        workspace = Workspace.open(tmp_path / str(number))
        older, younger = (replace(new_claim(time.time() + skew)) for skew in (0, 5))
        drivers = {"a": steps(workspace, older), "b": steps(workspace, younger)}
        for name in way:
            with_step = next(drivers[name], None)
            if with_step is not None:
                result = with_step()
                assert result is None or isinstance(result, Claim | Other)
        ends = {name: list(driver)[-1:] for name, driver in drivers.items()}
        held = [one for one in workspace_lock._claims(workspace) if one.held]
        assert len(held) <= 1, (way, ends)
        winners |= {one.token == older.token for one in held}
    assert winners == {True, False}


def test_who_removes_the_workspace_is_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`perse forget` looks for traces long after the workspace, and with it the lock, is gone."""
    monkeypatch.setattr("perse.data.workspace_lock.RENEW_S", 0.02)
    interrupted: list[bool] = []
    monkeypatch.setattr("_thread.interrupt_main", lambda: interrupted.append(True))
    workspace = Workspace.open(tmp_path / "gone")
    with locked(workspace):
        shutil.rmtree(tmp_path / "gone")
        time.sleep(0.2)
    assert not interrupted and not (tmp_path / "gone").exists()
    workspace = Workspace.open(tmp_path / "taken")
    with locked(workspace) as claim:
        workspace.remove(f"locks/{claim.token}.json")
        time.sleep(0.2)
    assert interrupted, "a lock that somebody took away still ends the run"
