"""Timing for the benchmarks: contenders take turns in one process, and medians are reported."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
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
        others: what follows from them, by name: ratios, or frames a second.
    """

    table: str
    case: str
    milliseconds: dict[str, float | None]
    others: dict[str, float] = field(default_factory=dict)


def interleaved(
    contenders: dict[str, Callable[[], object]], *, rounds: int = 25, seconds: float = 0.7
) -> dict[str, float | None]:
    """Median wall-clock milliseconds of each, after one call to warm up; they take turns, so that all meet the same
    weather. Each runs so many rounds, or as many as fit into so many seconds of its own, but once at least."""
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            if sum(times[name]) < seconds * 1e3:
                start = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def ratio(milliseconds: dict[str, float | None], slow: str, fast: str) -> float | None:
    """How many times as long one took as the other, if both were run."""
    a, b = milliseconds.get(slow), milliseconds.get(fast)
    return a / b if a and b else None


def on_threads(threads: int) -> str:
    """The name of a column."""
    return f"{threads} thread{'s' * (threads > 1)}"


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
        others = list(dict.fromkeys(name for row in mine for name in row.others))
        print(f"\n{table} (medians, ms)\n")
        print("| | " + " | ".join([*names, *others]) + " |")
        print("|---" * (len(names) + len(others) + 1) + "|")
        for row in mine:
            cells = [_cell(row.milliseconds.get(name)) for name in names]
            cells += [_cell(row.others.get(name)) for name in others]
            print(f"| {row.case} | " + " | ".join(cells) + " |")


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:#.3g}" if value < 100 else f"{value:.0f}"


def write_json(rows: Sequence[Row], path: Path) -> None:
    """The same for machines."""
    path.write_text(json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=1))
