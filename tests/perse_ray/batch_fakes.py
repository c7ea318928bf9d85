"""Works and editors that are quicker with several rows at once. Importable by workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ray_fakes import FakeEditor, note, suffer

from perse.data import AttributePrompt, EditedPortrait, TrackedPortrait
from perse.data.workspace import Workspace
from perse.errors import GenerationError, PerseError
from perse.head import HeadModel
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.fault_handling import GuardedWork
from perse_ray.rows.stage import More, Row, Stage, Value, no_more, with_status


def run_in_batches(
    rows: Iterable[Mapping[str, Value]], stages: tuple[Stage, ...], ledger: AttemptLedger, more: More = no_more
) -> Iterator[Row]:
    """An executor in this process that hands rows over in batches of each stage's size, as workers get them; what they
    bring along follows when all have been through."""
    works = [(GuardedWork(stage, ledger, watched=False), stage.batch_size) for stage in stages]
    waiting = [with_status(row) for row in rows]
    while waiting:
        pending, waiting = waiting, []
        for work, size in works:
            pending = [row for begin in range(0, len(pending), size) for row in _batch(work, pending[begin:][:size])]
        for row in pending:
            waiting += [with_status(other) for other in more(row)]
            yield row


def _batch(work: GuardedWork, rows: list[Row]) -> list[Row]:
    work.prepare(rows)
    return [work(row) for row in rows]


@dataclass(frozen=True)
class TogetherConfig:
    """Squares `number` into `square`; rows named after a mishap suffer it, in a batch and alone."""

    journal: str

    def build(self) -> Together:
        return Together(self.journal)


class Together:
    def __init__(self, journal: str) -> None:
        self.journal = journal
        self.ready: dict[str, int] = {}

    def prepare(self, rows: Sequence[Mapping[str, Value]]) -> None:
        note(self.journal, f"together {len(rows)}")
        for row in rows:
            suffer(str(row["name"]).partition("-")[0])
        self.ready = {str(row["key"]): int(row["number"]) ** 2 for row in rows}

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        known = self.ready.pop(str(row["key"]), None)
        if known is None:
            note(self.journal, f"alone {row['name']}")
            suffer(str(row["name"]).partition("-")[0])
        return {"square": int(row["number"]) ** 2 if known is None else known}


@dataclass(frozen=True)
class BatchEditor:
    """Edits in batches; a prompt whose text says black has a black picture."""

    journal: str

    def build(self, head: HeadModel) -> BatchEditor:
        return self

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        note(self.journal, f"alone {prompt.key}")
        return FakeEditor(self.journal).edit(portrait, prompt)

    def edit_many(
        self, portrait: TrackedPortrait, prompts: Sequence[AttributePrompt]
    ) -> list[EditedPortrait | PerseError]:
        note(self.journal, f"together {len(prompts)}")
        painter = FakeEditor(self.journal)
        return [
            GenerationError("the pipeline returned a black picture")
            if "black" in one.text
            else painter.edit(portrait, one)
            for one in prompts
        ]


@dataclass(frozen=True)
class DrawnConfig:
    """Draws numbers for each row from its key alone, and writes them down; several rows together, where it can."""

    workspace: Workspace

    def build(self) -> Drawn:
        return Drawn(self.workspace)


class Drawn:
    """The work of a `DrawnConfig`."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.ready: dict[str, NDArray[np.float64]] = {}

    def prepare(self, rows: Sequence[Mapping[str, Value]]) -> None:
        self.ready = {str(row["key"]): _drawn(str(row["key"])) for row in rows}

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        key = str(row["key"])
        numbers = self.ready.pop(key, _drawn(key))
        self.workspace.write(f"report/{key}", numbers.tobytes())
        return {"mean": float(numbers.mean())}


def _drawn(key: str) -> NDArray[np.float64]:
    return np.random.default_rng(list(key.encode())).normal(size=100)
