"""Feed of rows for Ray Data that can be added to while the pipeline runs.

Ray Data's sources are fixed when an execution starts, and a second execution would load every stage's weights again. So
the source is one read task that asks an actor for rows until the driver says that there will be no more. The same actor
carries news the other way: workers tell it of rows that others wait to hear of (`is_news`), long before those rows have
passed the stages behind.

Ray Data hands a stage whole batches, and holds back rows that do not fill one until its source ends; but the driver
ends the source only when it has seen every row. Filler rows, which every stage passes by, make a batch whole that is
wanted smaller (`perse_ray.rows.batch_sizes`), or that added rows do not fill, and push held rows through.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.data import Dataset, Datasource, ReadTask
from ray.data.block import BlockMetadata

from perse_ray.rows.batch_sizes import batch_sizes
from perse_ray.rows.stage import KEY, NAME, STATUS, Row, Value, with_status

FILLER = "filler"
"""Status of a row that is none: stages pass it by, and the driver drops it."""

POLL_S = 0.1

LISTEN_S = 0.5
"""Seconds that one question for news waits for some."""

FILL_S = 2.0
"""Seconds that added rows wait for others to share a batch with."""

LAST_ROUNDS = 2
"""Rounds of full batches before the workers' end in which rows that are added come one by one. A full batch that joins
in the round before the last would begin in the last, and end long after all others."""

FIRST_PUSH_S, LAST_PUSH_S = 2.0, 30.0
"""Seconds without a row after which the first fillers are sent, and then twice as many, and so on up to the last."""


class RowFeed:
    """Feed of rows, as the driver sees it.

    Args:
        rows: to begin with. All rows, also later ones, have the same columns.
        block_rows: rows handed over at once, the largest batch of any stage.
        workers: of the stage that has it.
    """

    def __init__(self, rows: Sequence[Mapping[str, Value]], block_rows: int, workers: int = 1) -> None:
        self._block_rows, self._workers = block_rows, workers
        self._filler = {**with_status(rows[0]), KEY: FILLER, NAME: FILLER, STATUS: FILLER}
        self._actor: Any = ray.remote(num_cpus=0)(_Rows).remote()
        self._outstanding = len(rows)
        self._unheard = {str(row[KEY]) for row in rows}  # none of them is through with the stage that has batches
        self._lock = threading.Lock()  # a thread fills what the driver adds
        self._unfilled, self._added_s, self._closed = 0, 0.0, False
        waiting, begin = iter(rows), list[Row]()
        for size in batch_sizes(len(rows), block_rows, workers):
            begin += [with_status(row) for row in islice(waiting, size)] + [self._filler] * (block_rows - size)
        self._put(begin, 0)

    @property
    def outstanding(self) -> int:
        """Rows that have not come back."""
        return self._outstanding

    @property
    def closed(self) -> bool:
        """Whether there will be no more rows."""
        return self._closed

    def dataset(self) -> Dataset:
        """The rows as a dataset that ends when `close` was called."""
        return ray.data.read_datasource(_FeedSource(self._actor, self._block_rows), override_num_blocks=1)

    def add(self, rows: Sequence[Mapping[str, Value]]) -> None:
        """Add rows. While there is plenty to do they share batches with others that are added soon after; in the last
        rounds each is a batch of its own, since a worker may be idle for each. Rows that were heard of are not begun by
        that."""
        if not rows:
            return
        with self._lock:
            assert not self._closed, "rows join only while some are under way"
            few = len(self._unheard) <= LAST_ROUNDS * self._workers * self._block_rows
            self._outstanding += len(rows)
            self._unheard |= {str(row[KEY]) for row in rows}
            if few:
                self._make_whole()
                for row in rows:
                    self._put([with_status(row)], self._block_rows - 1)
                return
            self._put([with_status(row) for row in rows], 0)
            self._unfilled = (self._unfilled + len(rows)) % self._block_rows
            self._added_s = time.monotonic()

    def fill(self) -> None:
        """Make the last batch whole, if nothing was added for a while."""
        with self._lock:
            if time.monotonic() - self._added_s > FILL_S:
                self._make_whole()

    def _make_whole(self) -> None:
        if self._unfilled:
            self._put([], self._block_rows - self._unfilled)
            self._unfilled = 0

    @property
    def sender(self) -> NewsSender:
        """Sender by which workers tell their news."""
        return NewsSender(self._actor)

    def news(self) -> list[Row]:
        """News of workers since the last call, in order; waits a moment for it."""
        found: list[Row] = [] if self._closed else ray.get(self._actor.news.remote(LISTEN_S))
        with self._lock:
            self._unheard -= {str(row[KEY]) for row in found}
        return found

    def returned(self, row: Row) -> bool:
        """Whether a row that has come out of the pipeline counts: a filler does not."""
        if row[STATUS] == FILLER:
            return False
        self._outstanding -= 1
        with self._lock:
            self._unheard.discard(str(row[KEY]))
        return True

    def push(self) -> None:
        """Send as many fillers as make any batch full."""
        with self._lock:
            self._put([], self._block_rows)

    def _put(self, rows: list[Row], fillers: int) -> None:
        """Not waited for: the stages' workers start while the actor does, and without it none of them has rows."""
        self._actor.put.remote([*rows, *[self._filler] * fillers])

    def close(self) -> None:
        """End the feed: there will be no more rows."""
        self._closed = True
        ray.get(self._actor.close.remote())


@dataclass(frozen=True)
class NewsSender:
    """End of a feed in a worker; travels to all of them."""

    actor: Any

    def tell(self, row: Row) -> None:
        """Send the driver news of a row. Not waited for: should it be lost, the row itself still comes out."""
        self.actor.tell.remote(row)


class _Rows:
    """The rows between driver and read task, and the news between workers and driver."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._closed = False
        self._news: list[Row] = []
        self._told = asyncio.Event()

    async def put(self, rows: list[Row]) -> None:
        self._rows += rows

    async def close(self) -> None:
        self._closed = True
        self._told.set()

    async def take(self, count: int) -> tuple[list[Row], bool]:
        """Some rows, and whether these were the last."""
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken, self._closed and not self._rows

    async def tell(self, row: Row) -> None:
        self._news.append(row)
        self._told.set()

    async def news(self, patience_s: float) -> list[Row]:
        """All news; waits for some if there are none."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), patience_s)
        self._told.clear()
        found, self._news = self._news, []
        return found


class _FeedSource(Datasource):
    """One read task that lasts as long as the feed."""

    def __init__(self, actor: Any, block_rows: int) -> None:
        self._actor, self._block_rows = actor, block_rows

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        actor, block_rows = self._actor, self._block_rows
        nothing_known = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(lambda: _blocks(actor, block_rows), nothing_known)]


def _blocks(actor: Any, block_rows: int) -> Iterator[pa.Table]:
    last = False
    while not last:
        rows, last = ray.get(actor.take.remote(block_rows))
        if rows:
            yield pa.Table.from_pylist(rows)
        elif not last:
            time.sleep(POLL_S)


class FillerTimer:
    """Timer of a feed's fillers: after a while without a row, and then ever more rarely."""

    def __init__(self, clock: Any = time.monotonic) -> None:
        self._clock = clock
        self.row_came()

    def row_came(self) -> None:
        """Note that a row came out of the pipeline."""
        self._since, self._wait = self._clock(), FIRST_PUSH_S

    def is_due(self) -> bool:
        """Whether to push now; the next push then waits twice as long."""
        if self._clock() - self._since < self._wait:
            return False
        self._since, self._wait = self._clock(), min(2 * self._wait, LAST_PUSH_S)
        return True
