"""How close does the synthesis pipeline come to its bottleneck's own rate? With stand-ins that sleep like the models.

    python benchmarks/synthesis_throughput.py                 1, 2, 4 and 8 simulated GPUs, about five minutes
    python benchmarks/synthesis_throughput.py --gpus 8 --rows-per-gpu 40

The stages, pools, batches, ledger and row guards are those of a real run; only the works sleep, at a twentieth of the
seconds that the plan expects (edit 20 s a row on one GPU, in batches of four; screen and animation on CPUs beside it).
``of own`` is the pipeline's rate while all GPU workers are there, as a share of what the GPUs could do alone (GPUs /
seconds of an edit): the rows edited between the last worker's first row and the first worker's last row. ``drain`` is
how long after the last edit the last clip was ready, ``start`` how long until the first edit began.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from perse_ray.rows.stage import Resources, Row, RowWork, Stage, Value

BATCH = 4


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What to simulate."""

    gpus: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of GPUs, one run each."""
    rows_per_gpu: int = 32
    """Prompts for each GPU."""
    edit_s: float = 1.0
    """Seconds of an edit on one GPU."""
    screen_s: float = 0.05
    """Seconds of a screening on one core."""
    animate_s: float = 0.5
    """Seconds of a clip on one core."""


@dataclass(frozen=True)
class Sleeping:
    """A work that takes its time; on a GPU it takes a batch's time at once."""

    seconds: float
    batched: bool = False

    def build(self) -> RowWork:
        return SleepingBatches(self.seconds) if self.batched else self._work

    def _work(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        time.sleep(self.seconds)
        return {}


class SleepingBatches:
    """A GPU model: the rows of a batch are computed together. Each row says when, and by whom."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ready: dict[Value, tuple[float, float]] = {}

    def prepare(self, rows: Sequence[Mapping[str, Value]]) -> None:
        begin = time.time()
        time.sleep(self.seconds * len(rows))
        each = (time.time() - begin) / len(rows)
        self.ready = {row["key"]: (begin + i * each, begin + (i + 1) * each) for i, row in enumerate(rows)}

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        if row["key"] not in self.ready:
            self.prepare([row])
        begin, end = self.ready[row["key"]]
        return {"begin": begin, "end": end, "worker": os.getpid()}


def stages(arguments: Arguments, gpus: int) -> tuple[Stage, ...]:
    """As `paper` has them, with CPU pools a little faster than the GPUs."""

    def pool(seconds: float) -> tuple[int, int]:
        workers = max(1, round(1.5 * gpus * seconds / arguments.edit_s + 0.5))
        return workers, workers

    return (
        Stage(
            name="edit",
            work=Sleeping(arguments.edit_s, batched=True),
            reads=("key",),
            writes=(("begin", 0.0), ("end", 0.0), ("worker", 0)),
            resources=Resources(num_cpus=0.5, num_gpus=1),
            batch_size=BATCH,
            workers=(gpus, gpus),
        ),
        Stage(
            name="screen",
            work=Sleeping(arguments.screen_s),
            reads=("key",),
            writes=(("screen_s", 0.0),),
            resources=Resources(num_cpus=0.5),
            workers=pool(arguments.screen_s),
        ),
        Stage(
            name="animate",
            work=Sleeping(arguments.animate_s),
            reads=("key",),
            writes=(("animate_s", 0.0),),
            resources=Resources(num_cpus=0.5),
            workers=pool(arguments.animate_s),
        ),
    )


def measure(arguments: Arguments, gpus: int) -> None:
    """One run, one line."""
    import ray

    from perse.data.workspace import Workspace
    from perse_ray.rows import on_ray_data as dataset
    from perse_ray.rows.attempts import AttemptLedger

    count = gpus * arguments.rows_per_gpu
    rows: list[Row] = [{"key": f"k{i:05d}", "name": f"row-{i}"} for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        ray.init(
            address="local", num_cpus=64, num_gpus=gpus, include_dashboard=False, log_to_driver=False,
            object_store_memory=200 * 2**20, logging_level="ERROR",
        )  # fmt: skip
        ledger = AttemptLedger(Workspace.open(Path(folder) / "w"), "benchmark")
        begin = time.time()
        done = list(dataset.run(rows, stages(arguments, gpus), ledger))
        finished = time.time()
        ray.shutdown()
    first, last = bounds(done, min), bounds(done, max)
    window = max(first.values()), min(last.values())
    rate = sum(overlap(row, *window) for row in done) / (window[1] - window[0])
    own = gpus / arguments.edit_s
    start, drain = min(first.values()) - begin, finished - max(last.values())
    rates = f"{gpus:4} {count:5} {own:10.2f} {rate:9.2f} {rate / own:7.1%}"
    print(f"{rates} {start:8.1f} {drain:8.1f} {finished - begin:8.1f}", flush=True)


def bounds(rows: list[Row], choose: Callable[[list[float]], float]) -> dict[Value, float]:
    """For each GPU worker, when its first row began (min) or its last one ended (max)."""
    column = "begin" if choose is min else "end"
    workers = {row["worker"] for row in rows}
    return {worker: choose([float(row[column]) for row in rows if row["worker"] == worker]) for worker in workers}


def overlap(row: Row, low: float, high: float) -> float:
    """How much of a row was edited within a window."""
    begin, end = float(row["begin"]), float(row["end"])
    return max(0.0, min(end, high) - max(begin, low)) / max(end - begin, 1e-9)


def main(arguments: Arguments) -> None:
    """Every number of GPUs in a process of its own: a Ray cannot change its resources."""
    if len(arguments.gpus) == 1:
        measure(arguments, arguments.gpus[0])
        return
    print(f"{'GPUs':>4} {'rows':>5} {'own rate/s':>10} {'rate/s':>9} {'of own':>7}", end="")
    print(f" {'start s':>8} {'drain s':>8} {'total s':>8}", flush=True)
    for gpus in arguments.gpus:
        options = {"--gpus": gpus, "--rows-per-gpu": arguments.rows_per_gpu, "--edit-s": arguments.edit_s}
        options |= {"--screen-s": arguments.screen_s, "--animate-s": arguments.animate_s}
        words = [str(word) for pair in options.items() for word in pair]
        subprocess.run([sys.executable, __file__, *words], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
