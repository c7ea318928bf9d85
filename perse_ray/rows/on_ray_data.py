"""Stages on Ray Data: one actor pool a stage, rows streaming through all of them side by side."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError, RayTaskError

from perse import chatter
from perse.errors import PerseError, StageError
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.fault_handling import NOT_THE_ROWS_FAULT, GuardedWork, one_line
from perse_ray.rows.feed import POLL_S, Pusher, RowFeed
from perse_ray.rows.stage import (
    ERROR,
    FAILED_STAGE,
    OK,
    STATUS,
    STOPPED,
    TRACEBACK,
    More,
    Row,
    Stage,
    Value,
    check_chain,
    no_more,
    with_status,
)

log = logging.getLogger(__name__)

_CHATTER = ("has constructor arguments in the object store and max_restarts > 0",)
"""Logged as an error for every pool of Ray Data, which always puts them there and keeps them as long as it runs."""


Workers = Callable[[Dataset, Stage, AttemptLedger], Dataset]
"""Adds a stage to a dataset, with those who do its work."""


def apply(dataset: Dataset, stage: Stage, ledger: AttemptLedger) -> Dataset:
    """The dataset with one more stage. Nothing runs yet."""
    low, high = stage.workers
    resources = stage.resources
    begin = first_size(stage)
    return dataset.map_batches(
        _Worker,
        fn_constructor_args=(stage, ledger),
        batch_size=stage.batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=low, max_size=high, initial_size=begin),
        num_cpus=resources.num_cpus,
        num_gpus=resources.num_gpus or None,
        memory=resources.memory_gib * 2**30 or None,
        udf_modifying_row_count=False,
    )


def first_size(stage: Stage) -> int:
    """Workers that a stage begins with."""
    low, high = stage.workers
    return min(max(low, stage.first_workers), high)


def run(
    rows: Iterable[Mapping[str, Value]],
    stages: tuple[Stage, ...],
    ledger: AttemptLedger,
    more: More = no_more,
    workers: Workers = apply,
) -> Iterator[Row]:
    """Every row through every stage, in whatever order they finish. Needs a running Ray with free logical CPUs.

    Args:
        more: asked about every finished row; the rows that it returns join the running pipeline, whose workers stay.
        workers: adds a stage's workers; those of a simulation share processes.

    Raises:
        StageError: a worker cannot be built, the disk is full (the message says why), or nothing moves any more.
    """
    started = [with_status(row) for row in rows]
    if not started:
        return
    check_chain(set(started[0]), stages)
    batched = max(stages, key=lambda stage: stage.batch_size)
    feed = RowFeed(started, batched.batch_size, first_size(batched))
    dataset = feed.dataset()
    for stage in stages:
        dataset = workers(dataset, stage, ledger)
    dataset.context.enable_progress_bars = False
    dataset.context.issue_detectors_config.detectors = []  # our rows have time limits; the rest is advice in red
    dataset.context.execution_no_progress_timeout_s = _patience_s(stages)
    pusher = _PushThread(feed)
    try:
        for row in _quietly_started(dataset.iter_rows()):
            if not feed.returned(row):
                continue
            pusher.row_came()
            if row[STATUS] == STOPPED:
                raise _stopped(row)
            feed.add(more(row))
            if not feed.outstanding:
                feed.close()
            yield row
    except (RayError, ExecutionTimeoutError) as error:
        raise StageError(f"the pipeline stopped: {readable(error)}") from error
    finally:
        pusher.stop()
        with suppress(RayError):
            feed.close()


def _quietly_started(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, without what Ray's core says when Ray Data starts its actors."""
    iterator = iter(rows)
    with chatter.without(_CHATTER):
        first = next(iterator, None)
    if first is not None:
        yield first
        yield from iterator


class _PushThread:
    """Looks after a feed's held rows while the driver waits for the next one."""

    def __init__(self, feed: RowFeed) -> None:
        self._feed, self._pusher, self._ended = feed, Pusher(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="feed", daemon=True)
        self._thread.start()

    def row_came(self) -> None:
        self._pusher.row_came()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(POLL_S):
            with suppress(RayError):  # the pipeline itself will say what is wrong
                self._feed.fill()
                if self._pusher.is_due():
                    self._feed.push()


class _Worker:
    """The actor: threads set, work loaded, rows one by one."""

    def __init__(self, stage: Stage, ledger: AttemptLedger) -> None:
        limit_threads(stage.resources.threads)
        self.stage = stage
        self.guarded: GuardedWork | None = None
        try:
            self.guarded = GuardedWork(stage, ledger, watched=True)
        except BaseException as error:  # an actor that dies while it is built is tried again and loses the cause
            known = isinstance(error, PerseError)
            self.problem = (one_line(error), "" if known else traceback.format_exc())

    def __call__(self, batch: pa.Table) -> pa.Table:
        rows = batch.to_pylist()
        if self.guarded is not None:
            self.guarded.prepare(rows)
        return pa.Table.from_pylist([self._row(row) for row in rows])

    def _row(self, row: Row) -> Row:
        if self.guarded is None:
            passed = {**dict(self.stage.writes), **row}
            return passed if row[STATUS] != OK else self._stopped(passed, *self.problem)
        try:
            return self.guarded(row)
        except NOT_THE_ROWS_FAULT as error:
            return self._stopped({**dict(self.stage.writes), **row}, one_line(error), "")

    def _stopped(self, row: Row, error: str, trace: str) -> Row:
        return {**row, STATUS: STOPPED, FAILED_STAGE: self.stage.name, ERROR: error, TRACEBACK: trace}


def _stopped(row: Row) -> StageError:
    """What to raise for a stage that cannot go on; an unexpected cause is logged with its stack."""
    if row[TRACEBACK]:
        log.error("%s", row[TRACEBACK])
    return StageError(f"stage {row[FAILED_STAGE]} stopped: {row[ERROR]}")


def readable(error: BaseException, length: int = 400) -> str:
    """Ray's long, coloured messages as one line; what a task raised, without Ray's account of where."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error = error.cause
    return re.sub(r"\x1b\[[0-9;]*m", "", one_line(error))[:length]


def limit_threads(threads: int) -> None:
    """Let numerical libraries of this process use that many threads, whether or not they are imported yet."""
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    if "numba" not in sys.modules:  # its pool has a size already, and it refuses a process that names another one
        names.append("NUMBA_NUM_THREADS")
    for name in names:
        os.environ.setdefault(name, str(threads))
    import torch

    torch.set_num_threads(threads)


def _patience_s(stages: tuple[Stage, ...]) -> float:
    """How long an execution may stand still: every attempt of a hanging row, and slow starts of workers."""
    return 300.0 + max(stage.time_limit_s * (stage.max_attempts + 1) for stage in stages)
