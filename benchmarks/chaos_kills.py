"""Rows on Ray Data while their workers, their driver, nodes and the head are killed with SIGKILL, again and again.

A row takes a while, and its result, which is a function of the row alone, lies in the workspace under its key. Whoever
runs the rows is killed in the middle; what is there in the end is compared with what an undisturbed run makes.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos_cluster import KillableCluster, killable_cluster
from perse.data.workspace import Workspace
from perse_ray.rows import on_ray_data
from perse_ray.rows.attempts import new_ledger
from perse_ray.rows.stage import KEY, NAME, OK, STATUS, Row, Stage, Value
from perse_ray.runtime.session import LocalRay, ray_session

ROW_S = 0.15
ATTEMPTS = 50
"""A row is innocent here, however often the one who works on it is killed."""
ON_ONE_MACHINE = ("worker",) * 4 + ("driver",)
ON_A_CLUSTER = ("worker", "worker", "node", "worker", "driver", "node", "worker", "node", "driver", "head")
"""Whose turn it is, over and over."""
NODE_REST_S = 6.0
"""Between two kills of nodes: the time in which Ray has workers again."""
LEAST_PAUSE_S = 0.3


@dataclass(frozen=True)
class Chaos:
    """What a run came to.

    Attributes:
        killed: how many of each kind.
        rows: that were to be made.
        lost, wrong, repeated: rows without a result, with another one, and results that were made more than once.
        seconds, clean_s: with the kills, and of one undisturbed run.
    """

    killed: dict[str, int]
    rows: int
    lost: int
    wrong: int
    repeated: int
    seconds: float
    clean_s: float


@dataclass(frozen=True)
class Hashed:
    """A work that writes the hash of its row's name, slowly, and notes in a journal that it did."""

    workspace: Workspace

    def build(self) -> Hashed:
        return self

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        name = f"report/{row[KEY]}"
        if not self.workspace.has(name):
            time.sleep(ROW_S)
            self.workspace.write(name, result(str(row[NAME])))
            with open(self.workspace.path / "journal", "a") as journal:
                journal.write(f"{row[KEY]}\n")
        return {"made": True}


def result(name: str) -> bytes:
    """What a row's file must hold."""
    return hashlib.sha256(name.encode()).hexdigest().encode() * 100


def drive(location: str, rows: int) -> None:
    """What a driver does: all rows, those that are there in no time."""
    workspace = Workspace.open(location)
    stage = Stage(
        name="hash", work=Hashed(workspace), reads=(), writes=(("made", False),), workers=(2, 2), batch_size=2,
        max_attempts=ATTEMPTS,
    )  # fmt: skip
    given: list[Row] = [{KEY: f"{i:06d}", NAME: f"row {i}"} for i in range(rows)]
    with ray_session(LocalRay(num_cpus=8, object_store_mib=100)):
        done = [row for row in on_ray_data.run(given, (stage,), new_ledger(workspace))]
    bad = [row for row in done if row[STATUS] != OK]
    (workspace.path / "finished").write_text(json.dumps({"rows": len(done), "bad": len(bad)}))


def survive(kills: int, rows: int, seed: int = 0, nodes: int = 0) -> Chaos:
    """Kill until there were so many kills, or until all rows are made; then look.

    Args:
        nodes: of a cluster whose nodes and head are killed too; 0 is a Ray of the driver's own.
    """
    with killable_cluster(nodes) as cluster:
        clean_s = _clean(rows, cluster)
        return _survived(kills, rows, random.Random(seed), cluster, clean_s)


def _survived(kills: int, rows: int, rng: random.Random, cluster: KillableCluster | None, clean_s: float) -> Chaos:
    killed = Counter[str]()
    turns = ON_ONE_MACHINE if cluster is None else ON_A_CLUSTER
    with tempfile.TemporaryDirectory(prefix="perse-chaos-") as folder:
        workspace = Workspace.open(Path(folder) / "w")
        begin = time.perf_counter()
        while not (workspace.path / "finished").exists():
            driver = _driver(workspace, rows, cluster)
            while driver.poll() is None:
                time.sleep(LEAST_PAUSE_S + rng.random() * 2 * ROW_S)
                if killed.total() < kills and _is_under_way(workspace):
                    who = turns[killed.total() % len(turns)]
                    killed[who] += _killed(who, driver, workspace, cluster, rng)
            driver.wait()
        seconds = time.perf_counter() - begin
        made = {name: workspace.read(f"report/{name}") for name in workspace.names("report")}
        journal = Counter((workspace.path / "journal").read_text().split())
    wanted = {f"{i:06d}": result(f"row {i}") for i in range(rows)}
    return Chaos(
        dict(killed), rows, len(set(wanted) - set(made)),
        sum(made[name] != wanted[name] for name in made), sum(count - 1 for count in journal.values()),
        seconds, clean_s,
    )  # fmt: skip


def _killed(
    who: str,
    driver: subprocess.Popen[bytes],
    workspace: Workspace,
    cluster: KillableCluster | None,
    rng: random.Random,
) -> bool:
    """Kill one; False if there was none."""
    if cluster is None or who in ("worker", "driver"):
        return _kill(driver.pid if who == "driver" else _worker(workspace, rng))
    if who == "node":
        done = cluster.kill_node(rng)
        time.sleep(NODE_REST_S)
        return done
    _kill(driver.pid)  # it lives on the head
    return cluster.kill_head()


def _clean(rows: int, cluster: KillableCluster | None) -> float:
    with tempfile.TemporaryDirectory(prefix="perse-chaos-") as folder:
        workspace = Workspace.open(Path(folder) / "w")
        begin = time.perf_counter()
        _driver(workspace, rows, cluster).wait()
        return time.perf_counter() - begin


def _driver(workspace: Workspace, rows: int, cluster: KillableCluster | None) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "benchmarks.chaos_kills", workspace.location, str(rows)]
    environment = os.environ if cluster is None else {**os.environ, "RAY_ADDRESS": cluster.address}
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _is_under_way(workspace: Workspace) -> bool:
    return _worker(workspace, random.Random(0)) is not None


def _worker(workspace: Workspace, rng: random.Random) -> int | None:
    """A process that has a row in hand, from the ledger of attempts."""
    notes = sorted((workspace.path / "quarantine" / "attempts").glob("*/hash/*/*"), key=str)
    pids = set()
    for note in notes:
        with suppress(OSError, ValueError, KeyError):
            pid = int(json.loads(note.read_bytes())["pid"])
            if b"_Worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                pids.add(pid)
    return rng.choice(sorted(pids)) if pids else None


def _kill(pid: int | None) -> bool:
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


if __name__ == "__main__":
    drive(sys.argv[1], int(sys.argv[2]))
