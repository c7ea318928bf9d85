"""Simulated workers of a stage in one process, each a thread.

A worker process takes 0.8 GB of which 0.4 are its own (Ray and pyarrow 0.1, torch 0.3), so a machine of 24 GB holds a
dozen. Work that sleeps needs no process of its own. What feeds the workers is the same: Ray Data hands each a batch and
keeps a second one waiting; the process claims what all its workers would.
"""

from __future__ import annotations

import threading

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.fault_handling import GuardedWork
from perse_ray.rows.feed import Teller
from perse_ray.rows.on_ray_data import worked_and_told
from perse_ray.rows.stage import Stage


def side_by_side(dataset: Dataset, stage: Stage, ledger: AttemptLedger, teller: Teller | None) -> Dataset:
    """Like `perse_ray.rows.on_ray_data.apply`, with the stage's first workers as threads; their number stays."""
    workers = stage.initial_workers
    claimed = stage.resources
    return dataset.map_batches(
        _Workers,
        fn_constructor_args=(stage, ledger, teller),
        batch_size=stage.batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=1, max_concurrent_calls_per_actor=workers, enable_true_multi_threading=True),
        num_cpus=workers * claimed.num_cpus,
        num_gpus=workers * claimed.num_gpus or None,
        udf_modifying_row_count=False,
    )


class _Workers:
    """The process. Each thread has work of its own, as each worker has."""

    def __init__(self, stage: Stage, ledger: AttemptLedger, teller: Teller | None) -> None:
        self._stage, self._ledger, self._teller = stage, ledger, teller
        self._mine = threading.local()

    def __call__(self, batch: pa.Table) -> pa.Table:
        if not hasattr(self._mine, "guarded"):
            # Not watched: the alarm that ends a process whose row hangs is one for all threads.
            self._mine.guarded = GuardedWork(self._stage, self._ledger, watched=False)
        rows = batch.to_pylist()
        self._mine.guarded.prepare(rows)
        return pa.Table.from_pylist([worked_and_told(self._mine.guarded, row, self._teller) for row in rows])
