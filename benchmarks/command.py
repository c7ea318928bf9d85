"""What the benchmarks' command lines and reports share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.timing import Row, print_tables, write_json


def parser(doc: str | None, *, quick: str, threads: str = "") -> argparse.ArgumentParser:
    """Options of a benchmark: --quick and --json, and --threads where it compares numbers of threads.

    Args:
        doc: the module's docstring; its first line describes the command.
        quick: what --quick leaves.
        threads: whose threads; empty for a benchmark without the option.
    """
    made = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    if threads:
        made.add_argument("--threads", type=int, default=2, help=threads)
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--json", type=Path, help="also write the numbers to this file")
    return made


def report(rows: Sequence[Row], file: Path | None) -> None:
    """Print the tables, and write the numbers to a file if one is named."""
    print_tables(rows)
    if file is not None:
        write_json(rows, file)
