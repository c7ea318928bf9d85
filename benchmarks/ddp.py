"""Two training workers over gloo against one, on this machine.

    python -m benchmarks.ddp [--quick] [--json FILE]

Every worker draws its own frames and gradients are averaged, so two workers of one thread each see twice the frames of
one worker a step. Columns: the step of one worker with one thread, of one worker with two, of two workers with one
each, and the averaging alone. Two workers pay if their step takes less than twice the lone worker's.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Hashable, Sequence

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from benchmarks.command import parser, report
from benchmarks.imaginary import imaginary_avatar, imaginary_clips
from benchmarks.timing import Row
from perse.avatar import LatentConfig, PartBasesConfig
from perse.render import CpuRasterizer
from perse.training import DistributedReplicas, Trainer, TrainingConfig
from perse.training.reduction import average_gradients

TINY = (PartBasesConfig(rank=4, hidden=16, features=8), LatentConfig(dimensions=8, hidden=32), 1_500, 64, 2)
LAPTOP = (PartBasesConfig(), LatentConfig(hidden=128), 15_000, 256, 3)
WORKERS = 2


class TimedReplicas(DistributedReplicas):
    """Replicas that note how long averaging takes."""

    def __init__(self) -> None:
        super().__init__()
        self.averaging_ms: list[float] = []

    def backward(
        self, module: nn.Module, forwards: Sequence[Callable[[], torch.Tensor]], pattern: Hashable | None
    ) -> torch.Tensor:
        (forward,) = forwards
        loss = forward()
        loss.backward()
        dist.barrier()  # waiting for the other worker's gradients is not the averaging's fault
        start = time.perf_counter()
        average_gradients([p for p in module.parameters() if p.numel()])
        self.averaging_ms.append((time.perf_counter() - start) * 1e3)
        return loss.detach()


def compare(rank: int, meeting: str, case: str, rounds: int, results: dict[str, dict[str, float]]) -> None:
    """What each worker process does: lone steps of the first one and steps together take turns."""
    decoder, latents, points, size_px, edits = {"tiny": TINY, "laptop": LAPTOP}[case]
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=WORKERS)
    avatar = imaginary_avatar(decoder, points=points, subjects=10, size_px=size_px, latents=latents)
    clips, config = imaginary_clips(avatar, frames=4), TrainingConfig(edits_per_step=edits)

    timed = TimedReplicas()
    together = Trainer(avatar, clips, config, rasterizer=CpuRasterizer(), replicas=timed)
    alone = Trainer(
        imaginary_avatar(decoder, points=points, subjects=10, size_px=size_px, latents=latents),
        clips, config, rasterizer=CpuRasterizer(),
    )  # fmt: skip
    times: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for name, threads in (("one worker, 1 thread", 1), ("one worker, 2 threads", 2)):
            if rank == 0:
                _time(times, name, threads, alone.step)
            dist.barrier()
        _time(times, "two workers, 1 thread each", 1, together.step)
    if rank == 0:
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        results[case] = {**medians, "of it averaging": statistics.median(timed.averaging_ms[1:])}
    dist.destroy_process_group()


def _time(times: dict[str, list[float]], name: str, threads: int, step: Callable[[], object]) -> None:
    torch.set_num_threads(threads)
    start = time.perf_counter()
    step()
    times.setdefault(name, []).append((time.perf_counter() - start) * 1e3)


def measure(*, quick: bool) -> list[Row]:
    """One row a recipe."""
    rows = []
    with mp.Manager() as manager, tempfile.TemporaryDirectory() as folder:
        for case in ("tiny",) if quick else ("tiny", "laptop"):
            results = manager.dict()
            mp.spawn(compare, (f"{folder}/{case}", case, 5 if quick else 15, results), nprocs=WORKERS)
            rows.append(Row("A training step, Adam included", case, dict(results[case])))
    return rows


def main() -> None:
    arguments = parser(__doc__, quick="the tiny recipe only").parse_args()
    rows = measure(quick=arguments.quick)
    report(rows, arguments.json)
    for row in rows:
        lone, both = row.milliseconds["one worker, 1 thread"] or 0, row.milliseconds["two workers, 1 thread each"] or 1
        print(f"\n{row.case}: two workers see {2 * lone / both:.2f} × the frames a second of one with one thread")


if __name__ == "__main__":
    main()
