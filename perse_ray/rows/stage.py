"""Stage of a row-wise pipeline, apart from how it is run.

A `Stage` is a frozen value: which work, which columns, which resources. `rows.on_ray_data.apply` runs it on Ray Data,
`rows.in_process.run` in this process; both go through the same `GuardedWork`, so they agree row for row.

Rows are small: keys, a prompt, a status. Pictures and clips go to the workspace under their content keys, which makes
every finished stage of every row a commit: a row that is tried again starts where it failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

Value = str | int | float | bool
Row = dict[str, Value]

KEY = "key"
NAME = "name"
STATUS = "status"
FAILED_STAGE = "failed_stage"
ERROR = "error"
TRACEBACK = "traceback"
ATTEMPTS = "attempts"

OK = "ok"
FAILED = "failed"
STOPPED = "stopped"
"""The stage cannot go on, through no fault of the row (its worker cannot be built, the disk is full): the driver ends
the run."""

STATUS_COLUMNS: Row = {STATUS: OK, FAILED_STAGE: "", ERROR: "", TRACEBACK: "", ATTEMPTS: 0}
"""Every row carries them. A row whose status is FAILED passes through the stages behind untouched."""


class RowWork(Protocol):
    """The loaded worker of a stage: models in memory, ready for rows."""

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        """The columns that this stage writes, or a part of them. Whatever it raises puts the row in quarantine."""
        ...


@runtime_checkable
class BatchedWork(RowWork, Protocol):
    """Worker that is quicker with several rows at once, as models on a GPU are."""

    def prepare(self, rows: Sequence[Mapping[str, Value]]) -> None:
        """Do the work on rows together and keep what comes out; each row is then asked for by itself, as ever."""
        ...


class RowWorkConfig(Protocol):
    """Description of a stage's work, small and picklable; weights are loaded where it runs and never travel."""

    def build(self) -> RowWork: ...


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Claim of one worker of a stage."""

    num_cpus: float = 0.1
    """Logical CPUs. Small on one machine, where pools must never claim all of them (Ray Data then stands still)."""

    num_gpus: float = 0.0
    """GPUs, as fractions too."""

    memory_gib: float = 0.0
    """Memory that the scheduler sets aside; 0 sets none aside."""

    threads: int = 1
    """Threads that numerical libraries may use in one worker."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Step of a row-wise pipeline."""

    name: str
    """Short name, for the ledger, the quarantine and progress."""

    work: RowWorkConfig
    """What is done to a row."""

    reads: tuple[str, ...]
    """Columns that must be there."""

    writes: tuple[tuple[str, Value], ...]
    """Columns that are added, each with the value it has in a row that fails or is passed by."""

    resources: Resources = Resources()
    """What one worker claims."""

    batch_size: int = 1
    """Rows handed over at once; also what is repeated when a worker dies (its finished rows are found and skipped)."""

    workers: tuple[int, int] = (1, 1)
    """Smallest and largest size of the pool."""

    first_workers: int = 1
    """Workers to begin with, within those bounds: what the balance of the stages' times asks for. Growing there one by
    one would leave the others idle meanwhile."""

    time_limit_s: float = 600.0
    """A row that takes longer is stopped, and counts as an attempt."""

    max_attempts: int = 3
    """A row that was started this often and never finished goes to quarantine."""

    announced: bool = False
    """Whether `More` is asked about a row as soon as this stage is through with it, and not only when the row has
    passed the stages behind, which may have others to do first."""

    def __post_init__(self) -> None:
        low, high = self.workers
        if not (1 <= low <= high and self.batch_size >= 1 and self.time_limit_s > 0 and self.max_attempts >= 1):
            raise ValueError(f"stage {self.name}: workers, batch_size, time_limit_s and max_attempts must be positive")
        if not self.name.isidentifier():
            raise ValueError(f"a stage's name must be an identifier, got {self.name!r}")

    @property
    def initial_workers(self) -> int:
        """Workers that the stage begins with."""
        low, high = self.workers
        return min(max(low, self.first_workers), high)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Workers of a stage: the part of how it runs that is no row's business."""

    workers: tuple[int, int] = (1, 1)
    """Smallest and largest number of workers."""

    first_workers: int = 1
    """Workers to begin with, within those bounds."""

    resources: Resources = Resources()
    """What one worker claims."""

    batch_size: int = 1
    """Rows handed to a worker at once."""

    time_limit_s: float = 300.0
    """A row that takes longer is stopped and tried again."""

    max_attempts: int = 3
    """Starts after which a row that never finishes goes to quarantine."""

    def stage(
        self, name: str, work: RowWorkConfig, reads: tuple[str, ...], writes: tuple[tuple[str, Value], ...]
    ) -> Stage:
        """Stage that runs so."""
        return Stage(name=name, work=work, reads=reads, writes=writes, **vars(self))


More = Callable[[Row], Sequence[Row]]
"""Says which rows join the pipeline now that there is news of a row, such as a replacement for a rejected one. It is
asked when a row leaves an announced stage, when it fails, and when it comes out; so it may be asked about one row
several times, and must answer with each row once."""


def no_more(_: Row) -> Sequence[Row]:
    """Rows that others bring along: none."""
    return ()


def is_news(stage: Stage, before: Mapping[str, Value], after: Mapping[str, Value]) -> bool:
    """Whether what a stage made of a row is told at once: it is announced, or the row has just failed."""
    return before.get(STATUS, OK) == OK and (after[STATUS] == FAILED or (stage.announced and after[STATUS] == OK))


def check_chain(columns: set[str], stages: tuple[Stage, ...]) -> None:
    """Every stage must find the columns it reads.

    Raises:
        ValueError: one is missing; the message names stage and column.
    """
    known = columns | set(STATUS_COLUMNS)
    for stage in stages:
        missing = sorted(set(stage.reads) - known)
        if missing:
            raise ValueError(f"stage {stage.name} reads {missing}, but only {sorted(known)} are there")
        known |= {name for name, _ in stage.writes}


def with_status(row: Mapping[str, Value]) -> Row:
    """Row at the start of a pipeline.

    Raises:
        ValueError: it has no key or no name.
    """
    if KEY not in row or NAME not in row:
        raise ValueError(f"a row needs {KEY!r} and {NAME!r}, got {sorted(row)}")
    return {**row, **STATUS_COLUMNS}
