"""Where the seconds of a simulated synthesis go that its slowest stage does not need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import psutil

from benchmarks.sleeping_studio import Span


@dataclass(frozen=True)
class Rest:
    """Seconds above the bound, in the order in which they pass; together they are all of it.

    Attributes:
        start_s: from the call until the first editor begins.
        way_s: from then until the slowest stage has its first row; 0 if that is the editors'.
        ramp_s: idle seconds of one of its workers (on average) until all of them work for the first time.
        gaps_s: the same, from then until all of them work for the last time: waiting for a row.
        drain_s: the same, from then on until the last of them is through.
        slow_s: by which its rows took longer than the sleep that they are.
        behind_s: from its last row until the pipeline has ended.
    """

    start_s: float
    way_s: float
    ramp_s: float
    gaps_s: float
    drain_s: float
    slow_s: float
    behind_s: float


def rest_of(begin: float, end: float, first_s: float, spans: Sequence[Span], workers: int, bound_s: float) -> Rest:
    """What a synthesis took beside the work of its slowest stage.

    Args:
        begin, end: of the synthesis, by the clock.
        first_s: when the first editor began, by the clock.
        spans: of the slowest stage.
        workers: how many it has.
        bound_s: what they need for the rows if they are always busy.
    """
    edges = sorted([(span.begin, 1) for span in spans] + [(span.end, -1) for span in spans])
    busy, steps = 0, []
    for (now, change), (later, _) in pairwise(edges):
        busy += change
        steps.append((now, later, busy))
    most = min(workers, max(count for _, _, count in steps))
    full = [(now, later) for now, later, count in steps if count >= most]
    first_full, last_full = full[0][0], full[-1][1]

    def idle_s(since: float, until: float) -> float:
        inside = [(later - now, count) for now, later, count in steps if now >= since and later <= until]
        return sum(seconds * (workers - count) for seconds, count in inside) / workers

    opens, closes = edges[0][0], edges[-1][0]
    return Rest(
        start_s=first_s - begin,
        way_s=opens - first_s,
        ramp_s=idle_s(opens, first_full),
        gaps_s=idle_s(first_full, last_full),
        drain_s=idle_s(last_full, closes),
        slow_s=sum(span.seconds for span in spans) / workers - bound_s,
        behind_s=end - closes,
    )


@dataclass
class Processor:
    """What this process and all below it have worked since this was made, and the whole machine with them, in seconds
    of a core. Processes that have ended before `seconds` is asked are missing in the first."""

    def __post_init__(self) -> None:
        self._before, self._machine = _below(), _machine_s()

    def seconds(self) -> tuple[float, float]:
        """Own, and the machine's."""
        own = sum(after - self._before.get(pid, 0.0) for pid, after in _below().items())
        return own, _machine_s() - self._machine


def _below() -> dict[int, float]:
    """Seconds of a core by process."""
    me = psutil.Process()
    found = {}
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        found[process.pid] = times.user + times.system
    return found


def _machine_s() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
