"""Stages on Ray Data: one actor pool a stage, rows streaming through all of them side by side."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import ActorPoolStrategy, Dataset
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError, RayTaskError

from perse import chatter
from perse.errors import PerseError, StageError
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.fault_handling import NOT_THE_ROWS_FAULT, GuardedWork, one_line
from perse_ray.rows.feed import POLL_S, FillerTimer, NewsSender, RowFeed
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
    is_news,
    no_more,
    with_status,
)

log = logging.getLogger(__name__)

_CHATTER = ("has constructor arguments in the object store and max_restarts > 0",)
"""Logged as an error for every pool of Ray Data, which always puts them there and keeps them as long as it runs."""


Workers = Callable[[Dataset, Stage, AttemptLedger, NewsSender | None], Dataset]
"""Adds a stage to a dataset, with those who do its work and tell their news."""


def apply(dataset: Dataset, stage: Stage, ledger: AttemptLedger, sender: NewsSender | None) -> Dataset:
    """Dataset with one more stage. Nothing runs yet."""
    low, high = stage.workers
    resources = stage.resources
    return dataset.map_batches(
        _Worker,
        fn_constructor_args=(stage, ledger, sender),
        batch_size=stage.batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=low, max_size=high, initial_size=stage.initial_workers),
        num_cpus=resources.num_cpus,
        num_gpus=resources.num_gpus or None,
        memory=resources.memory_gib * 2**30 or None,
        udf_modifying_row_count=False,
    )


def run(
    rows: Iterable[Mapping[str, Value]],
    stages: tuple[Stage, ...],
    ledger: AttemptLedger,
    more: More = no_more,
    workers: Workers = apply,
) -> Iterator[Row]:
    """Rows after every stage, in whatever order they finish. Needs a running Ray with free logical CPUs.

    Args:
        more: asked about rows of which there is news; the rows that it returns join the running pipeline, whose workers
            stay. Never asked by two threads at once.
        workers: adds a stage's workers; those of a simulation share processes.

    Raises:
        StageError: a worker cannot be built, the disk is full (the message says why), or nothing moves any more.
    """
    started = [with_status(row) for row in rows]
    if not started:
        return
    check_chain(set(started[0]), stages)
    found = (
        _run_closed(started, stages, ledger, workers)
        if more is no_more
        else _run_open(started, stages, ledger, more, workers)
    )
    try:
        # Closed here, whatever happens. An error that is on its way keeps a generator alive, and Ray Data's thread with
        # it, which would go on while Ray is shut down, and end the process before the error is told.
        with closing(found):
            for row in found:
                if row[STATUS] == STOPPED:
                    raise _stopped(row)
                yield row
    except (RayError, ExecutionTimeoutError) as error:
        raise StageError(f"the pipeline stopped: {readable(error)}") from error


def _run_closed(
    rows: Sequence[Row], stages: tuple[Stage, ...], ledger: AttemptLedger, workers: Workers
) -> Generator[Row]:
    """Rows that none joins: Ray Data has them all from the beginning, and no process is needed to feed it."""
    size = max(stage.batch_size for stage in stages)
    blocks = [pa.Table.from_pylist(list(rows[start : start + size])) for start in range(0, len(rows), size)]
    return _rows_through(ray.data.from_arrow(blocks), stages, ledger, None, workers)


def _run_open(
    rows: Sequence[Row], stages: tuple[Stage, ...], ledger: AttemptLedger, more: More, workers: Workers
) -> Generator[Row]:
    """Rows that others join."""
    batched = max(stages, key=lambda stage: stage.batch_size)
    feed = RowFeed(rows, batched.batch_size, batched.initial_workers)
    beside = _FeedThread(feed, more)
    try:
        with closing(_rows_through(feed.dataset(), stages, ledger, feed.sender, workers)) as through:
            for row in through:
                if feed.returned(row):
                    if row[STATUS] != STOPPED:
                        beside.row_came(row)
                    yield row
    finally:
        with suppress(RayError):
            feed.close()
        beside.stop()


def _rows_through(
    dataset: Dataset, stages: tuple[Stage, ...], ledger: AttemptLedger, sender: NewsSender | None, workers: Workers
) -> Generator[Row]:
    dataset.context.target_max_block_size = 1  # or small blocks are held back until 128 MiB are together
    for stage in stages:
        dataset = workers(dataset, stage, ledger, sender)
    dataset.context.enable_progress_bars = False
    dataset.context.issue_detectors_config.detectors = []  # our rows have time limits; the rest is advice in red
    dataset.context.execution_no_progress_timeout_s = _patience_s(stages)
    return _quietly_started(dataset.iter_rows())


def _quietly_started(rows: Iterable[Row]) -> Generator[Row]:
    """The rows, without what Ray's core says when Ray Data starts its actors."""
    iterator: Any = iter(rows)  # a generator, though Ray's annotations do not say so
    with closing(iterator):
        with chatter.without(_CHATTER):
            first = next(iterator, None)
        if first is not None:
            yield first
            yield from iterator


class _FeedThread:
    """Looks after a feed while the driver waits for the next row: hears the workers' news, and pushes held rows."""

    def __init__(self, feed: RowFeed, more: More) -> None:
        self._feed, self._more = feed, more
        self._timer, self._ended, self._one_asks = FillerTimer(), threading.Event(), threading.Lock()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._watch, name="feed", daemon=True)
        self._thread.start()

    def row_came(self, row: Row) -> None:
        """A row has come out: let others join, or end the feed if it was the last.

        Raises:
            Exception: whatever `More` raised, here or when it heard the news.
        """
        self._timer.row_came()
        if self._problem is not None:
            raise self._problem
        self._hear(row)
        with self._one_asks:
            if not self._feed.outstanding:
                self._feed.close()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set() and not self._feed.closed:
            try:
                news = self._feed.news()
                self._feed.fill()
                if self._timer.is_due():
                    self._feed.push()
            except RayError:  # the pipeline itself will say what is wrong
                self._ended.wait(POLL_S)
                continue
            try:
                for row in news:
                    self._hear(row)
            except Exception as error:  # the driver's thread raises it when the next row comes out
                self._problem = error
                return

    def _hear(self, row: Row) -> None:
        with self._one_asks:
            if not self._feed.closed:
                self._feed.add(self._more(row))


class _Worker:
    """The actor: threads set, work loaded, rows one by one."""

    def __init__(self, stage: Stage, ledger: AttemptLedger, sender: NewsSender | None) -> None:
        limit_threads(stage.resources.threads)
        self.stage, self.sender = stage, sender
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
            return worked_and_told(self.guarded, row, self.sender)
        except NOT_THE_ROWS_FAULT as error:
            return self._stopped({**dict(self.stage.writes), **row}, one_line(error), "")

    def _stopped(self, row: Row, error: str, trace: str) -> Row:
        return {**row, STATUS: STOPPED, FAILED_STAGE: self.stage.name, ERROR: error, TRACEBACK: trace}


def worked_and_told(work: GuardedWork, row: Row, sender: NewsSender | None) -> Row:
    """Row with the stage's columns; the driver is told if it waits for that."""
    done = work(row)
    if sender is not None and is_news(work.stage, row, done):
        sender.tell(done)
    return done


def _stopped(row: Row) -> StageError:
    """What to raise for a stage that cannot go on; an unexpected cause is logged with its stack."""
    if row[TRACEBACK]:
        log.error("%s", row[TRACEBACK])
    return StageError(f"stage {row[FAILED_STAGE]} stopped: {row[ERROR]}")


def readable(error: BaseException, length: int = 400) -> str:
    """Message of Ray, long and coloured, as one line; what a task raised, without Ray's account of where."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error = error.cause
    return re.sub(r"\x1b\[[0-9;]*m", "", one_line(error))[:length]


def limit_threads(threads: int) -> None:
    """Limit the threads of numerical libraries in this process, whether or not they are imported yet."""
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
