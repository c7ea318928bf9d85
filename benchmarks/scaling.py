"""Where a synthesis stops to scale: simulated GPUs and prompts, with the driver's own costs measured on this machine.

    python -m benchmarks.scaling

Simulated: how many workers of each stage fit on so many GPUs (the recipe's claims, the plan's guesses of seconds a row)
and what the slowest stage then does. Measured here, and extrapolated in a straight line: the driver's seconds and bytes
for a row, and the listing of a folder of clips. No GPU was used.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

from perse.attributes import CATEGORIES, Category
from perse.data import AttributePrompt
from perse.data.workspace import Workspace
from perse.recipes import recipe_named
from perse_ray.build.balance import balanced
from perse_ray.build.components import synthesis_config_of
from perse_ray.build.plan import synthesis_balance
from perse_ray.build.values import synthesis_to_json
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.synthesis.synthesize import FilmedEdit, Synthesis

GPUS = (2, 8, 64, 500)
PROMPTS = (1_000, 10_000, 100_000, 1_000_000)
NODE = {"GPU": 8.0, "CPU": 96.0, "memory": 1100.0 * 2**30}
"""Of eight GPUs, as clouds have them."""


@dataclass(frozen=True)
class DriverCost:
    """What the driver and the store cost, measured.

    Attributes:
        row_s: to make a row with its keys.
        attempt_s: of a worker, to note a start and an end of a row in one stage, on this disk.
        row_bytes: that the driver keeps of a row at the end: its subject and the manifest's JSON.
        listing_s: of one file in a folder's listing.
    """

    row_s: float
    attempt_s: float
    row_bytes: float
    listing_s: float


def measured(rows: int = 2000) -> DriverCost:
    """On this machine."""
    config = synthesis_config_of(recipe_named("tiny"))
    prompts = [_prompt(number) for number in range(rows)]
    config.row("someone", prompts[0])  # digests of code are read once
    begin = time.perf_counter()
    made = [config.row("someone", prompt) for prompt in prompts]
    row_s = (time.perf_counter() - begin) / rows
    tracemalloc.start()
    subjects = tuple(FilmedEdit(p, str(r["edit"]), str(r["clip"])) for p, r in zip(prompts, made, strict=True))
    kept = (synthesis_to_json(Synthesis("reference", subjects, (), (), ())), [dict(row) for row in made])
    row_bytes = tracemalloc.get_traced_memory()[0] / rows
    tracemalloc.stop()
    del kept
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.open(Path(folder) / "w")
        ledger = AttemptLedger(workspace, "run")
        begin = time.perf_counter()
        for number in range(100):
            ledger.start("edit", str(number))
            ledger.finish("edit", str(number))
        attempt_s = (time.perf_counter() - begin) / 100
        for row in made:
            (workspace.path / "clips" / f"{row['clip']}.parquet").touch()
        begin = time.perf_counter()
        workspace.names("clips", ".parquet")
        listing_s = (time.perf_counter() - begin) / rows
    return DriverCost(row_s, attempt_s, row_bytes, listing_s)


def _prompt(number: int) -> AttributePrompt:
    category: Category = CATEGORIES[number % len(CATEGORIES)]
    return AttributePrompt(f"{category.value}-{number:07d}", category, (("color", "red"),), "a person in a hat", number)


def rows_per_s(gpus: int) -> tuple[float, dict[str, int]]:
    """Of the slowest stage of `paper` on so many GPUs, and the workers of each stage."""
    stages = synthesis_balance(recipe_named("paper"))
    share = min(gpus / NODE["GPU"], 1.0)
    nodes = [{name: amount * share for name, amount in NODE.items()}] * max(1, gpus // 8)
    sizes = balanced(stages, nodes)
    return min(sizes[stage.name] / stage.seconds for stage in stages), sizes


def main() -> int:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    driver = measured()
    print(f"driver: {1e6 * driver.row_s:.0f} µs and {driver.row_bytes:.0f} bytes a row; a note in the ledger "
          f"{1e3 * driver.attempt_s:.1f} ms; listing {1e6 * driver.listing_s:.1f} µs a file\n")  # fmt: skip
    print(f"{'GPUs':>5} {'editors':>8} {'animators':>9} {'rows/s':>8} {'prompts':>9} {'hours':>9} {'driver s':>9} "
          f"{'MiB':>7} {'listing s':>9}")  # fmt: skip
    for gpus in GPUS:
        rate, sizes = rows_per_s(gpus)
        for prompts in PROMPTS:
            cells = f"{prompts:9} {prompts / rate / 3600:9.1f} {prompts * driver.row_s:9.1f}"
            rest = f"{prompts * driver.row_bytes / 2**20:7.0f} {prompts * driver.listing_s:9.1f}"
            print(f"{gpus:5} {sizes['edit']:8} {sizes['animate']:9} {rate:8.3f} {cells} {rest}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
