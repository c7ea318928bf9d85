"""What it costs that a run cannot be killed: the same work with and without what is kept for a rerun.

    python -m benchmarks.durability

Training: the laptop's avatar takes as many steps as lie between two checkpoints and is saved, as
`perse_ray.training.ray_train` does (flushed to the disk); the time of the save over that of the steps. Rows: three
starts and ends in the ledger of attempts, and the flushes of the files, over the time of the cheapest row there is, a
procedural edit and clip of the laptop recipe as `--plan` reckons with them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import patch

from benchmarks.imaginary import imaginary_avatar, imaginary_clips
from perse.avatar import PartBasesConfig
from perse.data.workspace import Workspace
from perse.recipes import recipe_named
from perse.render import CpuRasterizer
from perse.training import Trainer, TrainingConfig
from perse_ray.build.plan import synthesis_balance
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.rows.attempts import AttemptLedger

STAGES = ("edit", "screen", "animate")

ROW_FILES = (("edits", 60_000), ("edits/verdicts", 4_000), ("clips", 4_400_000))
"""Folder and bytes of what a row of the laptop recipe leaves."""


def training(workspace: Workspace, rounds: int) -> tuple[float, float]:
    """Seconds of the steps between two checkpoints, and of one checkpoint: medians."""
    cluster = recipe_named("laptop").cluster
    avatar = imaginary_avatar(PartBasesConfig(), points=15_000, size_px=256, subjects=10)
    trainer = Trainer(avatar, imaginary_clips(avatar, frames=4), TrainingConfig(edits_per_step=3),
                      rasterizer=CpuRasterizer())  # fmt: skip
    folder, steps_s, save_s = CheckpointFolder(workspace, "train"), [], []
    trainer.step()
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(cluster.checkpoint_every):
            trainer.step()
        middle = time.perf_counter()
        trainer.check_replicas()
        folder.save(trainer.checkpoint())
        steps_s.append(middle - begin)
        save_s.append(time.perf_counter() - middle)
    return statistics.median(steps_s), statistics.median(save_s)


def rows(workspace: Workspace, count: int) -> float:
    """Seconds more that a row takes with a ledger and flushed files: the difference of the medians."""
    ledger = AttemptLedger(workspace, "run")
    without, kept = [], []
    for number in range(count):
        without.append(_timed(partial(_written, workspace, f"a{number}", flushed=False)))
        kept.append(_timed(partial(_durably, workspace, ledger, f"b{number}")))
    return statistics.median(kept) - statistics.median(without)


def _durably(workspace: Workspace, ledger: AttemptLedger, key: str) -> None:
    for stage in STAGES:
        ledger.start(stage, key)
    _written(workspace, key, flushed=True)
    for stage in STAGES:
        ledger.finish(stage, key)


def _written(workspace: Workspace, key: str, *, flushed: bool) -> None:
    unflushed: AbstractContextManager[object] = nullcontext() if flushed else patch("os.fsync", lambda _: None)
    with unflushed:
        for folder, size in ROW_FILES:
            workspace.write(f"{folder}/{key}.parquet", bytes(size))


def _timed(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> int:
    """Print both shares."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--rounds", type=int, default=5, help="checkpoints, and ten times as many rows")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="perse-durability-") as folder:
        workspace = Workspace.open(Path(folder) / "w")
        steps, save = training(workspace, asked.rounds)
        more = rows(workspace, 10 * asked.rounds)
    row = sum(stage.seconds for stage in synthesis_balance(recipe_named("laptop")))
    print(f"training: {steps:.2f} s of steps between two checkpoints, {save:.3f} s for one: {save / steps:.1%}")
    print(f"a row: {1000 * more:.0f} ms more than without, of {row:.1f} s: {more / row:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
