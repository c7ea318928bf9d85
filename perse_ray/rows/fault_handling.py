"""Fault handling of one row in one stage: everything that can go wrong with it.

======================  ==========================================================================
the place is at fault   (a full disk, missing weights) not caught: the run ends, no row is blamed
the work raises         caught; error and traceback go into the row; never repeated
the work ends Python    (SystemExit, KeyboardInterrupt, …) in a worker: repeated, as a cancelled task may have been
                        meant; after `max_attempts` of them: quarantine
the process dies        the ledger shows a start without an end; after `max_attempts` of them: quarantine
the work hangs          after `time_limit_s` the process is ended by faulthandler's own thread, which needs no GIL;
                        then as above
======================  ==========================================================================

In both of the last cases faulthandler leaves the Python stack of that moment in a file of this machine; the next worker
that meets the row here copies it into the quarantine.
"""

from __future__ import annotations

import faulthandler
import logging
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from perse.errors import MissingWeightsError, PerseError, RecipeError, WorkspaceError
from perse.private_folders import private_folder
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.stage import (
    ATTEMPTS,
    ERROR,
    FAILED,
    FAILED_STAGE,
    KEY,
    OK,
    STATUS,
    STATUS_COLUMNS,
    TRACEBACK,
    BatchedWork,
    Row,
    RowWork,
    Stage,
    Value,
)

log = logging.getLogger(__name__)

NOT_THE_ROWS_FAULT = (WorkspaceError, MissingWeightsError, RecipeError)
"""Errors that every row would meet. Quarantine is for rows that are at fault themselves."""

TRACEBACK_LIMIT = 8_000
"""Characters of a traceback that are kept, from its end; of a dump of all threads, from its beginning."""

ERROR_LIMIT = 500
"""Characters of an error that are kept, from its beginning."""


class GuardedWork:
    """Work of a stage that always returns a row.

    Args:
        stage: what to do.
        ledger: where starts are noted.
        watched: whether this process may be ended by a row that hangs (a worker may, a driver may not).
    """

    def __init__(self, stage: Stage, ledger: AttemptLedger, *, watched: bool) -> None:
        self.stage = stage
        self.ledger = ledger
        self.watched = watched
        self.work: RowWork = stage.work.build()

    def prepare(self, rows: Sequence[Mapping[str, Value]]) -> None:
        """Let a work that is quicker with several rows (`BatchedWork`) see them together first.

        Nothing is decided here: whatever goes wrong, the rows then come one by one and the one at fault is found. A
        row that was in a batch which ended its process is never put into a batch again.
        """
        if not isinstance(self.work, BatchedWork):
            return
        batch = f"{self.stage.name}_batch"
        well = [row for row in rows if row.get(STATUS, OK) == OK]
        fresh = [row for row in well if not self.ledger.start(batch, str(row[KEY]))]
        if len(fresh) > 1:
            try:
                with self._watch(str(fresh[0][KEY]), limit_s=self.stage.time_limit_s * len(fresh)):
                    self.work.prepare(fresh)
            except BaseException as error:
                if not self._may_be_blamed(error):
                    raise
                log.warning("%d rows of stage %s go one by one: %s", len(fresh), self.stage.name, one_line(error))
        for row in fresh:
            self.ledger.finish(batch, str(row[KEY]))

    def __call__(self, row: Mapping[str, Value]) -> Row:
        """The row with this stage's columns added."""
        prepared = {**STATUS_COLUMNS, **dict(self.stage.writes), **row}
        if prepared[STATUS] != OK:
            return prepared
        key = str(row[KEY])
        earlier = self.ledger.start(self.stage.name, key)
        if earlier >= self.stage.max_attempts:
            self.ledger.finish(self.stage.name, key)
            return self._failed(prepared, *self._last_words(key), attempts=earlier)
        try:
            with self._watch(key):
                prepared |= self._checked(self.work(row))
        except NOT_THE_ROWS_FAULT:
            self.ledger.finish(self.stage.name, key)
            raise
        except BaseException as error:
            if not self._may_be_blamed(error):
                raise
            if not isinstance(error, Exception) and earlier + 1 < self.stage.max_attempts:
                return self(row)  # its start stays in the ledger, and counts
            prepared = self._failed(prepared, one_line(error), _trace_of(error), attempts=earlier + 1)
        self.ledger.finish(self.stage.name, key)
        self._trace(key).unlink(missing_ok=True)
        return prepared

    def _checked(self, written: Mapping[str, Value]) -> Mapping[str, Value]:
        unknown = set(written) - {name for name, _ in self.stage.writes}
        if unknown:
            raise ValueError(f"stage {self.stage.name} wrote columns it does not declare: {sorted(unknown)}")
        return {name: _plain(name, value, dict(self.stage.writes)[name]) for name, value in written.items()}

    def _may_be_blamed(self, error: BaseException) -> bool:
        """Whether it is the row's doing. Control-C in the user's own process is not."""
        return self.watched or not isinstance(error, KeyboardInterrupt)

    def _failed(self, row: Row, error: str, trace: str, *, attempts: int) -> Row:
        return {
            **row,
            STATUS: FAILED,
            FAILED_STAGE: self.stage.name,
            ERROR: error,
            TRACEBACK: trace[-TRACEBACK_LIMIT:],
            ATTEMPTS: attempts,
        }

    def _last_words(self, key: str) -> tuple[str, str]:
        """What is known about a row that ended its process: error and stack."""
        trace = ""
        with suppress(OSError):
            trace = self._trace(key).read_text(errors="replace")
        self._trace(key).unlink(missing_ok=True)
        told = _row_first(trace)[:TRACEBACK_LIMIT]
        if trace.startswith("Timeout"):
            return f"took longer than {self.stage.time_limit_s:g} s", told
        cause = trace.splitlines()[0].removeprefix("Fatal Python error: ") if trace else "killed, or out of memory"
        return f"ended its worker process ({cause})", told

    @contextmanager
    def _watch(self, key: str, *, limit_s: float | None = None) -> Iterator[None]:
        if not self.watched:
            yield
            return
        with open(self._trace(key), "w", encoding="utf-8", errors="backslashreplace") as stream:
            faulthandler.enable(stream)
            faulthandler.dump_traceback_later(limit_s or self.stage.time_limit_s, exit=True, file=stream)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
                faulthandler.enable()  # back to standard error, as Ray set it up

    def _trace(self, key: str) -> Path:
        return private_folder("perse-traces") / f"{self.ledger.run}-{self.stage.name}-{key}.trace"


def _row_first(dump: str) -> str:
    """Dump of all threads by faulthandler, in which those that worked on the row come first, the failing one next. A
    worker has some dozens of threads of Ray's, and not all are kept."""
    happened, *threads = re.split(r"(?m)^(?=(?:Current thread|Thread) 0x)", dump)
    mine = Path(__file__).name
    return happened + "".join(sorted(threads, key=lambda one: (mine not in one, not one.startswith("Current"))))


def one_line(error: BaseException) -> str:
    """An expected error's message as it is, any other with its type in front."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # somebody's own class
        text = "its message cannot be printed"
    return _printable(text if isinstance(error, PerseError) else f"{type(error).__name__}: {text}")[:ERROR_LIMIT]


def _trace_of(error: BaseException) -> str:
    try:
        return _printable("".join(traceback.format_exception(error)))
    except Exception:  # its message again
        return _printable("".join(traceback.format_tb(error.__traceback__)))


def _printable(text: str) -> str:
    """What tables and terminals take: bytes that came in disguise as surrogates are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(name: str, value: object, default: Value) -> Value:
    """A value of the kind that its column has.

    Raises:
        ValueError: it is of another kind, which no table of rows would take.
    """
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(default, float) and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if type(plain) is not type(default):
        raise ValueError(f"column {name} takes {type(default).__name__}, got {type(value).__name__}")
    return plain  # type: ignore[return-value]
