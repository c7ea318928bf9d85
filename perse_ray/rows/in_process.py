"""Stages without Ray: the reference that Ray runs are compared with, and the quickest way to debug a stage.

A row that kills its process kills this one; everything else is as on Ray.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.fault_handling import GuardedWork
from perse_ray.rows.stage import More, Row, Stage, Value, check_chain, is_news, no_more, with_status


def run(
    rows: Iterable[Mapping[str, Value]], stages: tuple[Stage, ...], ledger: AttemptLedger, more: More = no_more
) -> Iterator[Row]:
    """Rows after every stage, in order, in this process; then the rows that joined."""
    waiting = deque(with_status(row) for row in rows)
    if not waiting:
        return
    check_chain(set(waiting[0]), stages)
    works = [GuardedWork(stage, ledger, watched=False) for stage in stages]
    while waiting:
        row = waiting.popleft()
        for work in works:
            before, row = row, work(row)
            if is_news(work.stage, before, row):
                waiting.extend(with_status(other) for other in more(row))
        waiting.extend(with_status(other) for other in more(row))
        yield row
