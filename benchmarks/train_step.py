"""How fast an avatar trains on this machine, beside the same step written the long way.

    python -m benchmarks.train_step [--threads 2] [--quick] [--json FILE]

The laptop recipe's step: 15,000 Gaussians, 256², the reference and three edits, one frame each; and a step of the
paper's kind, one subject in eight frames. Columns: the step of `perse.training`, on one thread and on several; its
naïve evaluation on as many (`benchmarks.naive_step`: frame by frame, the condition at every point, plain torch); and
the naïve one with our rasterizer, which shows what the decoder and the loss alone are worth. Forward and backward of
the same batch; Adam, the same for all, is left out here and stands among the phases.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from benchmarks.command import parser, report
from benchmarks.imaginary import LAPTOP_NETWORKS, imaginary_avatar, imaginary_clips
from benchmarks.naive_step import naive_loss
from benchmarks.pairs import PairRasterizer
from benchmarks.timing import Row, interleaved, on_threads, ratio
from perse.avatar import NetworksConfig, PartBasesConfig
from perse.avatar.canonical import CanonicalGaussians
from perse.gaussians import Gaussians
from perse.render import CpuRasterizer, Rasterizer, Rendering, rasterize
from perse.training import Trainer, TrainingConfig
from perse.training.memory import keep_freed_memory
from perse.training.sampler import StepSample

NAIVE, NAIVE_OURS = "naïve", "naïve, our rasterizer"

DECODERS: dict[str, PartBasesConfig | NetworksConfig] = {"part bases": PartBasesConfig(), "networks": LAPTOP_NETWORKS}


def trainer_of(decoder: PartBasesConfig | NetworksConfig, points: int, size_px: int, *, subjects: int = 10) -> Trainer:
    """A trainer of an imaginary avatar: the reference and one subject of each category, or of the first few."""
    avatar = imaginary_avatar(decoder, points=points, subjects=subjects, size_px=size_px)
    config = TrainingConfig(pose_networks_from=0.0)
    return Trainer(avatar, imaginary_clips(avatar, frames=4), config, rasterizer=CpuRasterizer())


def batch(subjects: int, frames_each: int) -> StepSample:
    """The first subjects of the table, each in the first few frames."""
    of_frame = tuple(s for s in range(subjects) for _ in range(frames_each))
    return StepSample(tuple(range(subjects)), of_frame, tuple(i % 4 for i in range(len(of_frame))))


def own(trainer: Trainer, sample: StepSample, threads: int) -> dict[str, Callable[[], object]]:
    """Our loss and gradients of a batch, on one thread and on several."""

    def on(number: int) -> Callable[[], None]:
        def run() -> None:
            torch.set_num_threads(number)
            trainer.gradients(sample)
            torch.set_num_threads(threads)

        return run

    return {on_threads(number): on(number) for number in {1: 0, threads: 0}}


def naive(trainer: Trainer, sample: StepSample, rasterizer: Rasterizer) -> Callable[[], None]:
    """The same the long way."""

    def run() -> None:
        trainer.zero_gradients()
        losses = trainer.config.losses
        naive_loss(trainer.avatar, trainer.clips, sample, losses, rasterizer=rasterizer).backward()

    return run


def step_row(name: str, trainer: Trainer, sample: StepSample, threads: int, *, plain: bool) -> Row:
    """A batch in all ways; `plain` includes plain torch's rasterizer, which takes seconds a frame."""
    runs = own(trainer, sample, threads)
    runs[NAIVE_OURS] = naive(trainer, sample, CpuRasterizer())
    times = interleaved(runs, seconds=0.8)
    if plain:  # once: it takes seconds, and there is nothing to compile
        start = time.perf_counter()
        naive(trainer, sample, PairRasterizer())()
        times[NAIVE] = (time.perf_counter() - start) * 1e3
    most = on_threads(threads)
    others = {
        "scaling": ratio(times, on_threads(1), most) if threads > 1 else None,
        "faster than naïve": ratio(times, NAIVE, most),
        "with our rasterizer": ratio(times, NAIVE_OURS, most),
    }
    frames_each = len(sample.frames) // len(sample.subjects)
    case = f"{name}: {_times(len(sample.subjects), 'subject')} × {_times(frames_each, 'frame')}"
    table = f"Loss and gradients of a step, {trainer.avatar.n_gaussians:,} at {trainer.clips.camera.width}²"
    return Row(table, case, times, {name: value for name, value in others.items() if value is not None})


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count > 1)}"


def phases(trainer: Trainer, sample: StepSample, rounds: int) -> dict[str, float | None]:
    """Median milliseconds of each part of a whole step. The graph is cut between the parts to time them alone."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        clock = _Clock(times)
        trainer.zero_gradients()
        codes = trainer.avatar.subject_codes(torch.tensor(sample.subjects))
        canonical = trainer.avatar.canonicalise(codes)
        clock("canonicalise")
        canonical_leaf, canonical_pairs = _cut(canonical)
        motion = trainer.avatar.skeleton(trainer.clips.parameters.frame(torch.tensor(sample.frames)))
        clock("")
        posed = trainer.avatar.pose(canonical_leaf, motion, torch.tensor(sample.of_frame))
        clock("pose")
        posed_leaf, posed_pairs = _cut(posed)
        drawn = rasterize(posed_leaf, trainer.clips.camera, background=torch.ones(3), rasterizer=CpuRasterizer())
        clock("rasterize")
        drawn_leaf, drawn_pairs = _cut(drawn)
        target = trainer.clips.batch(sample.subject_of_frame, sample.frames)
        terms = trainer.objective(drawn_leaf, target)
        terms.total.backward()
        clock("loss, both ways")
        for name, pairs in (("rasterize", drawn_pairs), ("pose", posed_pairs), ("canonicalise", canonical_pairs)):
            used = [(whole, leaf) for whole, leaf in pairs if leaf.grad is not None and whole.requires_grad]
            torch.autograd.backward([whole for whole, _ in used], [leaf.grad for _, leaf in used])
            clock(f"{name}, backward")
        trainer.apply(replace(terms, total=terms.total.detach()))
        clock("Adam")
    names = [name for name in times if name]
    result: dict[str, float | None] = {name: statistics.median(times[name][1:]) for name in names}
    return {**result, "sum": sum(value or 0 for value in result.values())}


class _Clock:
    """Adds the time since the last call to a list."""

    def __init__(self, times: dict[str, list[float]]) -> None:
        self._times, self._last = times, time.perf_counter()

    def __call__(self, name: str) -> None:
        now = time.perf_counter()
        self._times.setdefault(name, []).append((now - self._last) * 1e3)
        self._last = time.perf_counter()


_Record = TypeVar("_Record", CanonicalGaussians, Gaussians, Rendering)


def _cut(record: _Record) -> tuple[_Record, list[tuple[Tensor, Tensor]]]:
    """A copy of the record whose tensors start a new graph, and (tensor, its copy) for carrying gradients over."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    leaves = {
        name: value if value is None else value.detach().requires_grad_(value.requires_grad)
        for name, value in values.items()
    }
    pairs = [(values[name], leaf) for name, leaf in leaves.items() if leaf is not None]
    return type(record)(**leaves), pairs


def growth(name: str, trainer: Trainer, what: str, case: str, sample: StepSample, threads: int) -> Row:
    times = interleaved(own(trainer, sample, threads), seconds=0.4)
    scaling = ratio(times, on_threads(1), on_threads(threads)) if threads > 1 else None
    return Row(f"Growth with {what}", f"{name}: {case}", times, {} if scaling is None else {"scaling": scaling})


def measure(threads: int, *, quick: bool) -> list[Row]:
    """All tables."""
    points, size_px = (4_000, 128) if quick else (15_000, 256)
    rows = []
    for name, decoder in DECODERS.items():
        trainer, sample = trainer_of(decoder, points, size_px), batch(4, 1)
        rows.append(step_row(name, trainer, sample, threads, plain=True))
        rows.append(step_row(name, trainer, batch(1, 8), threads, plain=False))
        rows.append(Row("Where a step's time goes", name, phases(trainer, sample, 3 if quick else 5)))
        for subjects, frames in ((4, 4), (9, 1)):
            case = f"{_times(subjects, 'subject')} × {_times(frames, 'frame')}"
            rows.append(growth(name, trainer, "frames", case, batch(subjects, frames), threads))
        for count in () if quick else (4_000, 30_000):
            more = trainer_of(decoder, count, size_px, subjects=4)
            rows.append(growth(name, more, "Gaussians", f"{count:,} at {size_px}²", sample, threads))
        for pixels in () if quick else (128, 512):
            larger = trainer_of(decoder, points, pixels, subjects=4)
            rows.append(growth(name, larger, "pixels", f"{points:,} at {pixels}²", sample, threads))
    return rows


def main() -> None:
    arguments = parser(__doc__, quick="few and small cases", threads="threads of torch and of our kernels").parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as every training does
    rows = measure(arguments.threads, quick=arguments.quick)
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
