"""Training loop on Ray Train: in this process, in one worker, or data-parallel in several.

`perse.training.Trainer` is the step; here is the loop around it: where it starts (the newest checkpoint that verifies),
on which device, what it tells, when it saves. Ray's own checkpoint store is not used: it rewrites its index in place,
and a kill at the wrong moment leaves it empty.

Nothing is shared between the driver and its workers but Ray, the workspace and the values of the call.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from perse.data.workspace import Workspace
from perse.errors import PerseError, StageError, TrainingDiverged
from perse.training import DistributedReplicas, Replicas, SingleReplica
from perse.training.checkpoint import Checkpoint
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.registry.stage_log import StageLog
from perse_ray.rows.on_ray_data import limit_threads, readable
from perse_ray.runtime.claims import WorkerClaim
from perse_ray.runtime.placement import await_room
from perse_ray.runtime.progress import Progress
from perse_ray.training.progress_board import Board, Point, ProgressBoard, RemoteBoard
from perse_ray.training.seam import LoopConfig, StepNumbers, WorkerPlace

log = logging.getLogger(__name__)

MAX_REWINDS = 2
"""Times that a training which diverges goes back to its last checkpoint; the same thing once more is no accident."""

AGREE_EVERY_STEPS = 10
"""Steps between two questions to the other replicas whether somebody's clock says that a checkpoint is due."""

LOOK_EVERY_S = 1.0
"""Between two questions to Ray whether a worker's machine is about to be taken away. A question costs a few ms."""

NOTICED_EVERY_S = 5.0
"""Between two checkpoints once it is. The first is saved at once."""

LOG_EVERY_STEPS = 10
TELL_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """Workers that train."""

    workers: int = 0
    """0: this process. 1: one worker process. More: that many, with averaged gradients."""

    at_least: int = 0
    """With how many of them the training goes on when machines are lost, until there is room again; 0: with all. A step
    stays the same step: those that are left compute the others' shares of the batch."""

    regrow_every_s: float = 60.0
    """How often to look for that room. Growing begins at the last checkpoint."""

    threads: int = 0
    """Threads of one worker; 0 leaves it to the libraries (all cores)."""

    num_cpus: float = 1.0
    """Logical CPUs that one worker claims."""

    num_gpus: float = 0.0
    """GPUs that one worker claims; with GPUs, the replica lives on the first and gradients travel over NCCL."""

    memory_gib: float = 0.0
    """Memory that one worker sets aside."""

    checkpoint_every: int = 300
    """Steps between two checkpoints."""

    checkpoint_every_s: float = 60.0
    """Seconds after which there is one in between: what a kill costs at most, however slow the steps are."""

    max_failures: int = 3
    """How often the group may lose a worker and go on from the last checkpoint."""

    placement_limit_s: float = 60.0
    """How long nodes with room for the workers may take to join the cluster."""


@dataclass(frozen=True, kw_only=True)
class TrainTask:
    """Task of one training run.

    Attributes:
        workspace: where its checkpoints are.
        stage: folder below ``checkpoints/``; also the title of its progress.
        loop: what to do. The folder must hold a first checkpoint (step 0) to start from.
        log: where the driver sends curves.
    """

    workspace: Workspace
    stage: str
    loop: LoopConfig
    log: StageLog | None = None


@dataclass(frozen=True, kw_only=True)
class _WorkerTask:
    """What travels to a worker."""

    workspace: Workspace
    stage: str
    loop: LoopConfig
    group: WorkerGroup
    board: ProgressBoard


def train(task: TrainTask, group: WorkerGroup, *, show: Callable[[str], None] | None = None) -> Checkpoint:
    """Final checkpoint of a training that is run to its last step. Called again after a kill, it goes on where it was.

    Raises:
        StageError: the workers failed too often, or the cluster has no room for them.
        PerseError: what a worker raised on purpose (a full disk, a recipe that does not fit).
    """
    folder = CheckpointFolder(task.workspace, task.stage)
    start = folder.load()
    if start is None:
        raise StageError(f"there is no checkpoint to start {task.stage} from; run the whole build again")
    if start.step < task.loop.steps:
        board: ProgressBoard = RemoteBoard() if group.workers else Board()
        with _shown(task, board, start.step, show):
            _fit(task, group, board)
    final = folder.load()
    if final is None or final.step < task.loop.steps:
        raise StageError(f"{task.stage} ended before its last step; run the same command again, it goes on")
    return final


def _fit(task: TrainTask, group: WorkerGroup, board: ProgressBoard) -> None:
    least = group.at_least or group.workers
    if group.workers:
        workers = WorkerClaim(
            what="training workers",
            count=least,
            cpus=group.num_cpus,
            gpus=group.num_gpus,
            memory_gib=group.memory_gib,
        )
        await_room([workers], group.placement_limit_s)
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # Ray looks at its workers every 2 s
    loop: Any = _train_loop  # Ray's annotations do not know yet that a loop may return something
    scaling: Any = ScalingConfig  # nor that there may be fewer workers
    claimed = {"CPU": group.num_cpus, "GPU": group.num_gpus, "memory": group.memory_gib * 2**30}
    work = _WorkerTask(workspace=task.workspace, stage=task.stage, loop=task.loop, group=group, board=board)
    with task.workspace.scratch_folder(f"checkpoints/ray-train-{secrets.token_hex(4)}") as (filesystem, place):
        trainer = TorchTrainer(
            loop,
            train_loop_config={"task": work},
            torch_config=TorchConfig(backend="nccl" if group.num_gpus else "gloo"),
            scaling_config=scaling(
                num_workers=group.workers if least == group.workers else (least, group.workers),
                elastic_resize_monitor_interval_s=group.regrow_every_s,
                use_gpu=group.num_gpus > 0,
                resources_per_worker={name: amount for name, amount in claimed.items() if amount},
            ),
            run_config=RunConfig(
                name=task.stage,
                storage_path=place,
                storage_filesystem=filesystem,
                failure_config=FailureConfig(max_failures=group.max_failures),
            ),
        )
        try:
            result: Any = trainer.fit()
        except (RayError, ray.train.TrainingFailedError) as error:
            raise StageError(_expected(error) or f"{task.stage} stopped: {readable(error)}") from error
    problem = result.return_value
    if problem:
        raise StageError(str(problem))


def _expected(error: BaseException) -> str:
    """What a worker said on purpose, found among Ray's accounts of who failed how; empty if none did."""
    for failure in getattr(error, "worker_failures", {}).values():
        seen: BaseException | None = failure
        while seen is not None:
            if isinstance(seen, PerseError):
                return str(seen)
            # Ray wraps what a worker raised in a class without a public way to it.
            seen = getattr(seen, "_base_exc", None) or getattr(seen, "cause", None) or seen.__cause__
    return ""


def _train_loop(config: dict[str, Any]) -> str:
    """What every worker runs. Returns an expected error's message, which Ray would bury in a stack of causes."""
    try:
        _run(config["task"])
    except PerseError as error:
        if dist.is_initialized() and dist.get_world_size() > 1:
            raise  # the others wait for this one; the group must end
        return str(error)
    return ""


def _run(task: _WorkerTask) -> None:
    group = task.group
    if group.threads:
        limit_threads(group.threads)
    place = _place(group)
    folder = CheckpointFolder(task.workspace, task.stage)
    start = folder.load()
    assert start is not None, "the driver has looked"
    reporter = _StepReporter(task.board) if place.replicas.rank == 0 else None
    with _warnings_on(task.board, wanted=group.workers > 0 and reporter is not None):
        for rewinds in range(MAX_REWINDS + 1):
            try:
                _steps(task, start, place, folder, reporter)
                break
            except TrainingDiverged as error:  # on every replica, at the same step
                start = folder.load()
                if rewinds == MAX_REWINDS or start is None:
                    raise
                log.warning("%s. Training goes back to step %d", error, start.step)
    if place.replicas.world > 1:
        dist.barrier()


@contextmanager
def _warnings_on(board: ProgressBoard, *, wanted: bool) -> Iterator[None]:
    """Context in which the driver hears of this worker's warnings; Ray keeps them in a file that nobody reads."""
    handler = _BoardHandler(board)
    loggers = [logging.getLogger(name) for name in ("perse", "perse_ray")] if wanted else []
    for one in loggers:
        one.addHandler(handler)
    try:
        yield
    finally:
        for one in loggers:
            one.removeHandler(handler)


class _BoardHandler(logging.Handler):
    """Writes warnings on a board."""

    def __init__(self, board: ProgressBoard) -> None:
        super().__init__(logging.WARNING)
        self._board = board

    def emit(self, record: logging.LogRecord) -> None:
        self._board.warn(self.format(record))


def _steps(
    task: _WorkerTask, start: Checkpoint, place: WorkerPlace, folder: CheckpointFolder, reporter: _StepReporter | None
) -> None:
    """All steps from a checkpoint on."""
    loop = task.loop.build(start, place)
    due, waits = _Due(task.group, place.replicas), False
    try:
        while loop.step_number < task.loop.steps:
            report = loop.step()
            finished = loop.step_number >= task.loop.steps
            if reporter:
                reporter.tell(report, last=finished)
            waits |= due(loop.step_number)
            if finished or (waits and loop.is_settled):
                waits = False
                loop.check_replicas()
                if place.replicas.rank == 0:
                    folder.save(loop.checkpoint())
    finally:
        loop.close()


class _Due:
    """Says when a checkpoint is due, to all replicas at the same step: by steps, by the slowest clock, and at once when
    the machine of one of them is about to be taken away."""

    def __init__(self, group: WorkerGroup, replicas: Replicas) -> None:
        self._group, self._replicas = group, replicas
        self._agree_every = 1 if replicas.world == 1 else AGREE_EVERY_STEPS
        self._every_s = group.checkpoint_every_s
        self._saved_s = self._looked_s = time.monotonic()
        self._noticed = False

    def __call__(self, step: int) -> bool:
        due = step % self._group.checkpoint_every == 0
        if step % self._agree_every == 0:
            clocks = [_passed(self._saved_s, self._every_s), _passed(self._looked_s, LOOK_EVERY_S)]
            late, look = self._replicas.maximum(torch.tensor(clocks, device=self._device)).tolist()
            noticed = bool(look) and self._notice()
            due = due or bool(late) or noticed
        if due:
            self._saved_s = time.monotonic()
        return due

    def _notice(self) -> bool:
        """Ask Ray, which answers all replicas alike; True the first time that a machine is to go."""
        self._looked_s = time.monotonic()
        if self._noticed or ray.train.get_preemption_info() is None:
            return False
        self._noticed, self._every_s = True, min(self._every_s, NOTICED_EVERY_S)
        log.warning("a worker's machine is about to be taken away: a checkpoint every %g s from now on", self._every_s)
        return True

    @property
    def _device(self) -> torch.device:
        """Where NCCL can reach it."""
        return torch.device("cuda", torch.cuda.current_device()) if self._group.num_gpus else torch.device("cpu")


def _passed(since: float, seconds: float) -> float:
    """1 if so many seconds have passed on this worker's clock, 0 if not."""
    return float(time.monotonic() - since > seconds)


def _place(group: WorkerGroup) -> WorkerPlace:
    """This worker's device, as Ray has assigned it, and its fellows."""
    device = ray.train.torch.get_device() if group.num_gpus else torch.device("cpu")
    together = dist.is_initialized() and dist.get_world_size() > 1
    shares = max(group.workers, 1)
    return WorkerPlace(device, DistributedReplicas(shares) if together else SingleReplica(shares))


class _StepReporter:
    """Writes on the board: every step's numbers now and then, the newest step about once a second."""

    def __init__(self, board: ProgressBoard) -> None:
        self._board = board
        self._told_s = 0.0
        self._waiting: list[Point] = []
        self._last_step: tuple[int, float] | None = None

    def tell(self, report: StepNumbers, *, last: bool) -> None:
        now = time.monotonic()
        if last or report.step % LOG_EVERY_STEPS == 0:
            numbers = {name: float(value) for name, value in vars(report).items() if name != "step"}
            if self._last_step and report.step > self._last_step[0]:
                numbers["steps_per_s"] = (report.step - self._last_step[0]) / max(now - self._last_step[1], 1e-9)
            self._last_step = (report.step, now)
            self._waiting.append((report.step, numbers))
        if last or now - self._told_s > TELL_EVERY_S:
            self._told_s = now
            self._board.write(report.step, report.loss, self._waiting)
            self._waiting = []


@contextmanager
def _shown(task: TrainTask, board: ProgressBoard, start: int, show: Callable[[str], None] | None) -> Iterator[None]:
    """Progress and curves of a loop that may run in another process, read from its board."""
    stop = threading.Event()
    with Progress(task.stage, task.loop.steps - start, write=show) as progress:

        def follow() -> None:
            while not stop.wait(TELL_EVERY_S):
                _catch_up(task, progress, board, start)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            stop.set()
            follower.join()
            _catch_up(task, progress, board, start)
            if task.log:
                task.log.flush()


def _catch_up(task: TrainTask, progress: Progress, board: ProgressBoard, start: int) -> None:
    try:
        told = board.read()
    except RayError:  # it is being restarted, or Ray is ending
        return
    done = told.step + 1 - start
    for line in told.warnings:
        log.warning("%s", line)
    if done > progress.done:
        progress.advance(done - progress.done, note=f"loss {told.loss:.4f}")
    if task.log:
        for step, numbers in told.points:
            task.log.metrics(numbers, step)


def first_checkpoint(workspace: Workspace, stage: str, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint as the start of a training, if that has not started yet."""
    folder = CheckpointFolder(workspace, stage)
    if folder.load() is None:
        folder.save(checkpoint)


__all__ = ["TrainTask", "WorkerGroup", "first_checkpoint", "train"]
