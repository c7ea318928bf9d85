"""What a build survives: commits stopped after every operation, workers and drivers killed in the middle of rows.

    python -m benchmarks.chaos --points 20000       moments at which the machine stops
    python -m benchmarks.chaos --kills 50           workers and, one in five, drivers; on one machine
    python -m benchmarks.chaos --kills 50 --nodes 2 of ten: four workers, three nodes, two drivers, a head

Exit code 1 means that something was torn, lost or led nowhere.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable

from benchmarks.chaos_kills import survive
from benchmarks.crash_points import CrashOutcome, on_a_disk, on_an_object_store


def main() -> int:
    """Run what is asked for and print a line for each."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--points", type=int, default=0, help="crash points on a disk, and as many on a store")
    options.add_argument("--kills", type=int, default=0, help="workers and drivers to kill")
    options.add_argument("--nodes", type=int, default=0, help="of a cluster, on this machine, to kill nodes of as well")
    options.add_argument("--rows", type=int, default=200, help="rows that are worked on meanwhile")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    logging.disable(logging.WARNING)  # what it says of half a checkpoint that it passes over
    faults = 0
    if asked.kills:
        faults += _killed(asked.kills, asked.rows, asked.seed, asked.nodes)
    for name, look in () if not asked.points else (("a disk", on_a_disk), ("an object store", on_an_object_store)):
        faults += _told(name, look, asked.points, asked.seed)
    return 1 if faults else 0


def _killed(kills: int, rows: int, seed: int, nodes: int) -> int:
    found = survive(kills, rows, seed, nodes)
    what = ", ".join(f"{count} {who}s" for who, count in found.killed.items())
    print(
        f"{what} killed over {found.rows} rows: {found.lost} lost, "
        f"{found.wrong} wrong, {found.repeated} results made twice; {found.seconds:.0f} s, undisturbed "
        f"{found.clean_s:.0f} s",
        flush=True,
    )
    return found.lost + found.wrong


def _told(name: str, look: Callable[[int, int], CrashOutcome], points: int, seed: int) -> int:
    begin = time.perf_counter()
    found = look(points, seed)
    print(
        f"{name:16} {found.points} crash points, {found.torn} torn reads, {found.lost} lost commits, "
        f"{found.dead_ends} dead ends, {time.perf_counter() - begin:.1f} s"
        + (f"; the first: {found.first}" if found.first else ""),
        flush=True,
    )
    return found.faults


if __name__ == "__main__":
    sys.exit(main())
