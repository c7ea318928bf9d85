"""A training on a cluster whose machines come and go: a notice, a loss, and a machine that is new."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from elastic_training import Paced
from ray.cluster_utils import Cluster

from perse.avatar import PartBasesConfig
from perse.head import HeadModel
from perse.training import Checkpoint, Trainer, initial_checkpoint
from perse.training.replicas import SingleReplica
from perse_ray.training.ray_train import TrainTask, WorkerGroup, first_checkpoint, train

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "perse_ray"))

RAY = str(Path(sys.executable).with_name("ray"))
pytestmark = [pytest.mark.timeout(900), pytest.mark.heavy]
STEPS = 60


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head and a second node with a logical CPU each, on which a training worker fits."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests" / "cluster")]))
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "1")
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "30")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # what others of this machine take is not the test's
    running = Cluster(
        initialize_head=True,
        connect=False,
        head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False},
    )
    ray.init(address=running.address, log_to_driver=False, logging_level="ERROR")
    yield running
    ray.shutdown()
    running.shutdown()


def test_a_training_goes_on_with_fewer_and_grows_back(cluster: Cluster, head_model: HeadModel, tmp_path: Path) -> None:
    """The node of one of two workers is to be taken away in a while: a checkpoint is saved at once. It goes, one worker
    makes both shares; a new node comes, there are two again. The avatar is that of an undisturbed run, to the bit."""
    from small_training import make_small_training

    loop, trainer = make_small_training(head_model, tmp_path / "small", PartBasesConfig(), steps=STEPS)
    start = initial_checkpoint(trainer.avatar, loop.training)
    first_checkpoint(loop.workspace, "elastic", start)
    journal = tmp_path / "journal"
    journal.touch()
    spot = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    group = WorkerGroup(
        workers=2, at_least=1, num_cpus=1.0, threads=1, checkpoint_every=1000, checkpoint_every_s=1000.0,
        regrow_every_s=5.0,
    )  # fmt: skip
    done: list[Checkpoint] = []
    paced = Paced(loop=loop, pause_s=1.0, journal=str(journal))
    task = TrainTask(workspace=loop.workspace, stage="elastic", loop=paced)
    run = threading.Thread(target=lambda: done.append(train(task, group, show=lambda _: None)), daemon=True)
    run.start()

    def await_line(what: str, workers: int, after: int = 0, limit_s: float = 240.0) -> int:
        """The number of the first line of the journal that says so."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            lines = [line.split() for line in journal.read_text().splitlines()]
            for number, line in enumerate(lines[after:], after):
                if line[0] == what and int(line[2]) == workers:
                    return number
            time.sleep(0.2)
        raise AssertionError(f"no {what} of {workers} workers within {limit_s:g} s: {journal.read_text()}")

    await_line("step", 2, after=3)
    drained = _drain(cluster.address, spot.node_id)
    noticed = await_line("saved", 2)
    print(f"a checkpoint {_time_of(journal, noticed) - drained:.1f} s after the notice")
    cluster.remove_node(spot, allow_graceful=False)
    fewer = await_line("step", 1)
    print(f"one worker goes on {_time_of(journal, fewer) - drained:.1f} s after the notice")
    cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    more = await_line("step", 2, after=fewer)
    print(f"two again {_time_of(journal, more) - _time_of(journal, fewer):.1f} s after that")
    run.join(timeout=300)
    assert done and done[0].step == STEPS

    undisturbed = Trainer(
        trainer.avatar, trainer.clips, loop.training, rasterizer=loop.rasterizer, replicas=SingleReplica(2)
    )
    undisturbed.resume(start)
    while undisturbed.step_number < STEPS:
        undisturbed.step()
    assert done[0].files == undisturbed.checkpoint().files


def _drain(address: str, node: str) -> float:
    words = [RAY, "drain-node", "--address", address, "--node-id", node, "--reason", "DRAIN_NODE_REASON_PREEMPTION"]
    words += ["--reason-message", "a spot machine", "--deadline-remaining-seconds", "600"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.time()


def _time_of(journal: Path, line: int) -> float:
    return float(journal.read_text().splitlines()[line].split()[3])
