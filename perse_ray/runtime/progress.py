"""Progress for people: a live bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

LOG_EVERY_S = 10.0
"""Between two lines of a log; the first and the last are always written."""

PACE_S = 60.0
"""How far the pace looks back."""


class Progress:
    """Counter of finished items, which tells how long the rest will take.

    Args:
        title: what is being done.
        total: how many items; may grow.
        write: where log lines go; standard output by default. Given explicitly, no live bar is drawn.
        clock: seconds; tests bring their own.
    """

    def __init__(
        self,
        title: str,
        total: int,
        *,
        write: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title = title
        self.total = total
        self.done = 0
        self.note = ""
        self._clock = clock
        self._start = clock()
        self._marks: deque[tuple[float, int]] = deque()
        self._last = -LOG_EVERY_S
        self._write = write or _print
        self._bar = _live_bar(title, total) if write is None and sys.stdout.isatty() else None

    @property
    def eta_s(self) -> float | None:
        """Seconds that the rest will take at the pace of about the last minute; None until that is known: the first
        items come late, because processes start and kernels are compiled before them."""
        if not self._marks or self.done == self._marks[0][1]:
            return None
        since, counted = self._marks[0]
        return (self._clock() - since) / (self.done - counted) * max(self.total - self.done, 0)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count some items as finished; `note` says what else is worth knowing ("2 rejected")."""
        self.done += count
        self.note = note
        self._mark()
        self._show()

    def expect(self, more: int) -> None:
        """Count more items than thought."""
        self.total += more
        self._show()

    def line(self) -> str:
        """Line of text with the state."""
        eta = self.eta_s
        rest = f", {readable_s(eta)} to go" if eta is not None and self.done < self.total else ""
        note = f" ({self.note})" if self.note else ""
        return f"{self.title}: {self.done}/{self.total}{rest}{note}"

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        elif self._last >= 0 and self.done < self.total:
            self._write(self.line())

    def _mark(self) -> None:
        """Remember when how many items were finished, and forget what is older than the pace looks back."""
        now = self._clock()
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and self._marks[1][0] <= now - PACE_S:
            self._marks.popleft()

    def _show(self) -> None:
        if self._bar:
            eta = self.eta_s
            rest = readable_s(eta) if eta is not None else "–"
            self._bar.update(self._bar.task_ids[0], completed=self.done, total=self.total, eta=rest, note=self.note)
            return
        elapsed = self._clock() - self._start
        if self.done >= self.total or elapsed - self._last >= LOG_EVERY_S:
            self._last = elapsed
            self._write(self.line())


@contextmanager
def progress_of_steps(write: Callable[[str], None] | None = None) -> Iterator[Callable[[str, int], Callable[[], None]]]:
    """Progress of work whose steps follow each other: what to call when one begins, with its name and its number of
    items. That ends the step before, and gives what to call after each item."""
    with ExitStack() as bars:

        def started(name: str, total: int) -> Callable[[], None]:
            bars.close()
            return bars.enter_context(Progress(name, total, write=write)).advance

        yield started


def stage_line(name: str, seconds: float | None) -> str:
    """Line that tells that a stage is finished, in so many seconds; None: it was before."""
    return f"{name}: finished before" if seconds is None else f"{name}: done in {readable_s(seconds)}"


@dataclass(frozen=True)
class Told:
    """Progress as the lines of a log tell it.

    Attributes:
        finished: stages, in order.
        took: seconds of those that were done in this run, not before it.
        title, done, total: of the newest count of the stage that is under way; total is 0 where there is none.
        to_go_s: what that count says of the rest of its stage; None where it says nothing.
    """

    finished: tuple[str, ...] = ()
    took: Mapping[str, float] = field(default_factory=dict)
    title: str = ""
    done: int = 0
    total: int = 0
    to_go_s: float | None = None


_COUNT = re.compile(r"([\w ]+): (\d+)/(\d+)(?:, ([\d:]+ (?:s|min|h)) to go)?(?:, | \(|$)")
_STAGE = re.compile(r"(\w+): (?:finished before|done in ([\d:]+ (?:s|min|h)))")


def read_log(text: str) -> Told:
    """The inverse of `Progress.line` and `stage_line`, over all lines of a log."""
    told = Told()
    for line in text.splitlines():
        if stage := _STAGE.fullmatch(line):
            took = told.took if stage[2] is None else {**told.took, stage[1]: seconds_of(stage[2])}
            told = Told((*told.finished, stage[1]), took)
        elif count := _COUNT.match(line):
            rest = None if count[4] is None else seconds_of(count[4])
            told = Told(told.finished, told.took, count[1], int(count[2]), int(count[3]), rest)
    return told


def readable_s(seconds: float) -> str:
    """Duration for people: 90.0 as "1:30 min", 12.0 as "12 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def seconds_of(readable: str) -> float:
    """The inverse of `readable_s`, as far as it says: hours come without their seconds."""
    number, unit = readable.split(" ")
    parts = [float(part) for part in number.split(":")]
    whole = parts[0] if len(parts) == 1 else 60 * parts[0] + parts[1]
    return 60 * whole if unit == "h" else whole


def _live_bar(title: str, total: int) -> RichProgress:
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]} to go {task.fields[note]}"),
    )
    bar = RichProgress(*columns, console=Console(file=sys.stdout))
    bar.add_task(title, total=total, eta="–", note="")
    return bar


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
