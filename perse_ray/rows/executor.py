"""Executors of rows: `perse_ray.rows.on_ray_data.run`, or `perse_ray.rows.in_process.run`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.stage import More, Row, Stage, no_more


class Executor(Protocol):
    """Executor that runs every row through every stage, and the rows that finished ones bring along."""

    def __call__(
        self, rows: Iterable[Row], stages: tuple[Stage, ...], ledger: AttemptLedger, more: More = no_more
    ) -> Iterator[Row]: ...
