"""Rows of one stage, or single pieces of work, spread over the cluster or done here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from perse.data.workspace import Workspace
from perse.errors import PerseError, StageError
from perse.recipes.resources import WorkerPool
from perse_ray.build.room import claim_of
from perse_ray.build.run import BuildRun
from perse_ray.rows import in_process, on_ray_data
from perse_ray.rows.attempts import AttemptLedger, new_ledger
from perse_ray.rows.on_ray_data import limit_threads, readable
from perse_ray.rows.stage import ERROR, NAME, OK, STATUS, Row, Stage
from perse_ray.runtime.placement import await_room
from perse_ray.runtime.progress import Progress

Answer = TypeVar("Answer")


def run_rows(run: BuildRun, rows: Sequence[Row], stage: Stage, pool: WorkerPool) -> list[Row]:
    """Rows after one stage, of which every row must come off.

    Raises:
        StageError: a row failed, or the cluster has no room for the pool.
    """
    if pool.workers[1]:
        run.start_ray()
        await_room([claim_of(pool, f"{stage.name} workers")], run.recipe.cluster.placement_limit_s)
    return every_row(run.request.workspace, rows, stage, pool, run.request.show)


def every_row(
    workspace: Workspace, rows: Sequence[Row], stage: Stage, pool: WorkerPool, show: Callable[[str], None] | None
) -> list[Row]:
    """Rows of `run_rows` where Ray runs already, if the pool needs it, with progress told to `show`.

    Raises:
        StageError: a row failed.
    """
    finished = []
    for row in settled_rows(workspace, rows, stage, pool, show):
        if row[STATUS] != OK:
            raise StageError(f"{stage.name} of {row[NAME]!r} failed: {row[ERROR]}")
        finished.append(row)
    return finished


def settled_rows(
    workspace: Workspace, rows: Sequence[Row], stage: Stage, pool: WorkerPool, show: Callable[[str], None] | None
) -> Iterator[Row]:
    """Rows after one stage as they come, failed ones too. Ray runs already, if the pool needs it."""
    execute = on_ray_data.run if pool.workers[1] else in_process.run
    ledger: AttemptLedger = new_ledger(workspace)
    with Progress(stage.name, len(rows), write=show) as progress:
        for row in execute(rows, (stage,), ledger):
            yield row
            progress.advance()
    ledger.close()


def run_once(run: BuildRun, what: str, function: Callable[..., Answer], *arguments: Any, pool: WorkerPool) -> Answer:
    """Answer of a function, from a worker with the pool's resources, or from this process.

    Raises:
        StageError: the worker died or ran out of time, or the cluster has no room for it.
        PerseError: what the function raised on purpose.
    """
    if not pool.workers[1]:
        return function(*arguments)
    run.start_ray()
    await_room([claim_of(pool, f"worker to {what}")], run.recipe.cluster.placement_limit_s)
    resources: Any = {"num_cpus": pool.cpus, "num_gpus": pool.gpus, "memory": pool.memory_gib * 2**30 or None}
    task: Any = ray.remote(max_retries=2, **resources)(_with_threads)
    try:
        return ray.get(task.remote(pool.threads, function, arguments), timeout=pool.time_limit_s)  # type: ignore[no-any-return]
    except RayTaskError as error:
        if isinstance(error.cause, PerseError):
            raise error.cause from None
        raise StageError(f"cannot {what}: {readable(error)}") from error
    except (RayError, TimeoutError) as error:
        raise StageError(f"cannot {what}: {readable(error)}") from error


def _with_threads(threads: int, function: Callable[..., Answer], arguments: tuple[Any, ...]) -> Answer:
    limit_threads(threads)
    return function(*arguments)
