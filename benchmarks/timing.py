"""Timing for the benchmarks: contenders take turns in one process, and medians are reported."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numba
import torch


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        table: heading it stands under.
        case: what was measured.
        milliseconds: medians by contender; None where it was not run.
    """

    table: str
    case: str
    milliseconds: dict[str, float | None]


def interleaved(contenders: dict[str, Callable[[], object]], *, rounds: int = 9) -> dict[str, float | None]:
    """Median wall-clock milliseconds of each, after one call to warm up; they take turns, so that all meet the same
    weather."""
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
    }


def print_tables(rows: Sequence[Row]) -> None:
    """All tables as Markdown, ready for the docs."""
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    for table in dict.fromkeys(row.table for row in rows):
        mine = [row for row in rows if row.table == table]
        names = list(dict.fromkeys(name for row in mine for name in row.milliseconds))
        print(f"\n{table} (medians, ms)\n")
        print("| | " + " | ".join(names) + " |")
        print("|---" * (len(names) + 1) + "|")
        for row in mine:
            values = [row.milliseconds.get(name) for name in names]
            print(f"| {row.case} | " + " | ".join("–" if v is None else f"{v:.1f}" for v in values) + " |")


def write_json(rows: Sequence[Row], path: Path) -> None:
    """The same for machines."""
    path.write_text(json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=1))
