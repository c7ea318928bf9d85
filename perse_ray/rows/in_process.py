"""Stages without Ray: the reference that Ray runs are compared with, and the quickest way to debug a stage.

A row that kills its process kills this one; everything else is as on Ray.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.fault_handling import GuardedWork
from perse_ray.rows.stage import Row, Stage, Value, check_chain, with_status


def run(rows: Iterable[Mapping[str, Value]], stages: tuple[Stage, ...], ledger: AttemptLedger) -> Iterator[Row]:
    """Every row through every stage, in order, in this process."""
    started = [with_status(row) for row in rows]
    if not started:
        return
    check_chain(set(started[0]), stages)
    works = [GuardedWork(stage, ledger, watched=False) for stage in stages]
    for row in started:
        for work in works:
            row = work(row)
        yield row
