"""The training loop on Ray Train: in this process, in one worker, or data-parallel in several.

`perse.training.Trainer` is the step; here is the loop around it: where it starts (the newest checkpoint that verifies),
what it tells (progress, curves from rank 0), when it saves. Ray's own checkpoint store is not used: it rewrites its
index in place, and a kill at the wrong moment leaves it empty.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ray.train
import torch.distributed as dist
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from perse.data.workspace import Workspace
from perse.errors import PerseError, StageError
from perse.training.checkpoint import Checkpoint
from perse.training.reduction import average_gradients
from perse.training.trainer import GradientReduction
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.registry.mlflow_log import StageLog
from perse_ray.rows.on_ray_data import limit_threads, readable
from perse_ray.runtime.progress import Progress

LOG_EVERY_STEPS = 10
BEACON_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """Who trains."""

    workers: int = 0
    """0: this process. 1: one worker process. More: that many, with averaged gradients."""

    threads: int = 0
    """Threads of one worker; 0 leaves it to the libraries (all cores)."""

    num_cpus: float = 1.0
    """Logical CPUs that one worker claims."""

    num_gpus: float = 0.0
    """GPUs that one worker claims; with GPUs, gradients travel over NCCL."""

    checkpoint_every: int = 200
    """Steps between two checkpoints: what a kill costs at most."""

    max_failures: int = 3
    """How often the group may lose a worker and go on from the last checkpoint."""


class StepReport(Protocol):
    """What a step tells about itself; numbers only (`perse.training.trainer.StepReport`)."""

    step: int
    loss: float


class Loop(Protocol):
    """A training in progress."""

    @property
    def step_number(self) -> int:
        """Finished steps."""
        ...

    def step(self) -> Any: ...

    def checkpoint(self) -> Checkpoint: ...

    def close(self) -> None:
        """Let go of what it holds outside this process."""
        ...


class LoopConfig(Protocol):
    """A picklable description of a training, built where it runs."""

    @property
    def steps(self) -> int:
        """Number of the last step."""
        ...

    def build(self, start: Checkpoint, rank: int, world: int, reduce: GradientReduction | None) -> Loop:
        """The training, continued from a checkpoint."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainTask:
    """One training run.

    Attributes:
        workspace: where its checkpoints are.
        stage: folder below ``checkpoints/``; also the title of its progress.
        loop: what to do. The folder must hold a first checkpoint (step 0) to start from.
        log: where rank 0 sends curves.
    """

    workspace: Workspace
    stage: str
    loop: LoopConfig
    log: StageLog | None = None


def train(task: TrainTask, group: WorkerGroup, *, show: Callable[[str], None] | None = None) -> Checkpoint:
    """Run to the last step and return the final checkpoint. Called again after a kill, it goes on where it was.

    Raises:
        StageError: the workers failed too often.
        PerseError: what a worker raised on purpose (a full disk, a recipe that does not fit).
    """
    folder = CheckpointFolder(task.workspace, task.stage)
    start = folder.load()
    if start is None:
        raise StageError(f"there is no checkpoint to start {task.stage} from; run the whole build again")
    if start.step < task.loop.steps:
        with tempfile.TemporaryDirectory(prefix="perse-train-") as scratch:
            beacon = Path(scratch) / "beacon.json"
            with _shown(task, beacon, start.step, show):
                _fit(task, group, Path(scratch), beacon)
    final = folder.load()
    if final is None or final.step < task.loop.steps:
        raise StageError(f"{task.stage} ended before its last step; run the same command again, it goes on")
    return final


def _fit(task: TrainTask, group: WorkerGroup, scratch: Path, beacon: Path) -> None:
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # Ray looks at its workers every 2 s
    loop: Any = _train_loop  # Ray's annotations do not know yet that a loop may return something
    trainer = TorchTrainer(
        loop,
        train_loop_config={"task": task, "group": group, "beacon": str(beacon)},
        torch_config=TorchConfig(backend="nccl" if group.num_gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=group.workers,
            use_gpu=group.num_gpus > 0,
            resources_per_worker={"CPU": group.num_cpus, **({"GPU": group.num_gpus} if group.num_gpus else {})},
        ),
        run_config=RunConfig(
            name=task.stage, storage_path=str(scratch), failure_config=FailureConfig(max_failures=group.max_failures)
        ),
    )
    try:
        result: Any = trainer.fit()
    except (RayError, ray.train.TrainingFailedError) as error:
        raise StageError(f"{task.stage} stopped: {readable(error)}") from error
    problem = result.return_value
    if problem:
        raise StageError(str(problem))


def _train_loop(config: dict[str, Any]) -> str:
    """What every worker runs. Returns an expected error's message, which Ray would bury in a stack of causes."""
    task, group, beacon = config["task"], config["group"], Path(config["beacon"])
    try:
        _run(task, group, beacon)
    except PerseError as error:
        if dist.is_initialized() and dist.get_world_size() > 1:
            raise  # the others wait for this one; the group must end
        return str(error)
    return ""


def _run(task: TrainTask, group: WorkerGroup, beacon: Path) -> None:
    if group.threads:
        limit_threads(group.threads)
    together = dist.is_initialized() and dist.get_world_size() > 1
    rank, world = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
    folder = CheckpointFolder(task.workspace, task.stage)
    start = folder.load()
    assert start is not None, "the driver has looked"
    loop = task.loop.build(start, rank, world, average_gradients if together else None)
    teller = _Teller(task.log, beacon) if rank == 0 else None
    try:
        while loop.step_number < task.loop.steps:
            report = loop.step()
            finished = loop.step_number >= task.loop.steps
            if teller:
                teller.tell(report, last=finished)
                if finished or loop.step_number % group.checkpoint_every == 0:
                    folder.save(loop.checkpoint())
    finally:
        loop.close()
    if together:
        dist.barrier()


class _Teller:
    """Curves to MLflow, and a small file that the driver's progress reads."""

    def __init__(self, log: StageLog | None, beacon: Path) -> None:
        self.log = log
        self.beacon = beacon
        self.told_s = 0.0
        self.last_step: tuple[int, float] | None = None

    def tell(self, report: StepReport, *, last: bool) -> None:
        now = time.monotonic()
        if self.log and (last or report.step % LOG_EVERY_STEPS == 0):
            numbers = {name: float(value) for name, value in vars(report).items() if name != "step"}
            if self.last_step and report.step > self.last_step[0]:
                numbers["steps_per_s"] = (report.step - self.last_step[0]) / max(now - self.last_step[1], 1e-9)
            self.last_step = (report.step, now)
            self.log.metrics(numbers, report.step)
        if last or now - self.told_s > BEACON_EVERY_S:
            self.told_s = now
            self.beacon.write_bytes(json.dumps({"step": report.step + 1, "loss": report.loss}).encode())
        if last and self.log:
            self.log.flush()


@contextmanager
def _shown(task: TrainTask, beacon: Path, start: int, show: Callable[[str], None] | None) -> Iterator[None]:
    """Progress of a loop that may run in another process, read from its beacon."""
    stop = threading.Event()
    with Progress(task.stage, task.loop.steps - start, write=show) as progress:

        def follow() -> None:
            while not stop.wait(BEACON_EVERY_S):
                _catch_up(progress, beacon, start)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            stop.set()
            follower.join()
            _catch_up(progress, beacon, start)


def _catch_up(progress: Progress, beacon: Path, start: int) -> None:
    try:
        told = json.loads(beacon.read_bytes())
    except (OSError, ValueError):  # not written yet, or being written
        return
    done = told["step"] - start
    if done > progress.done:
        progress.advance(done - progress.done, note=f"loss {told['loss']:.4f}")


def first_checkpoint(workspace: Workspace, stage: str, checkpoint: Checkpoint) -> None:
    """Where a training starts from, if it has not started yet."""
    folder = CheckpointFolder(workspace, stage)
    if folder.load() is None:
        folder.save(checkpoint)


__all__ = ["TrainTask", "WorkerGroup", "first_checkpoint", "train"]
