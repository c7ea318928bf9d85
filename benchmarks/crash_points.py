"""A build's commits, stopped after every operation: nothing torn is read, nothing that was committed is lost.

What is stopped is the code that writes: files of a workspace, manifests of stages with their products, checkpoints, on
a disk and on an object store. What is asked of each of the states that are left:

- it can be opened, and the commits done again from there end as if nothing had happened;
- a file holds what was last said to be written, or what was being written then, never anything else;
- the newest checkpoint that loads is the last one that was said to be saved, or a newer one;
- a stage that was said to be finished is not made again.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pyarrow import fs

from benchmarks.crash_disk import Disk, ObjectStore, RecordingOs, UnsyncedOs
from perse.data import durable_files
from perse.data.workspace import Workspace
from perse.errors import WorkspaceError
from perse.training.checkpoint import Checkpoint
from perse_ray.build.manifests import StageManifests
from perse_ray.registry.checkpoints import CheckpointFolder

FILES = ("report/page.html", "clips/abc.parquet", "edits/verdicts/v.parquet")
STAGES = ("track", "synthesize", "export")
ROUNDS = 3


@dataclass
class Said:
    """What the writer was told, and what it was about to do.

    Attributes:
        files: content by name, last said to be written.
        writing: the file that is being written, with its content.
        step: last checkpoint said to be saved; -1 for none.
        stages: content by name of the stages said to be finished.
        made: stages that were made, in order.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    writing: tuple[str, bytes] | None = None
    step: int = -1
    stages: dict[str, bytes] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    def copy(self) -> Said:
        return Said(dict(self.files), self.writing, self.step, dict(self.stages), list(self.made))


def commits(workspace: Workspace, said: Said, tick: Callable[[], None], rounds: int = ROUNDS) -> None:
    """Everything that a build does to its workspace, in small. `tick` is called before and after each step."""
    for number in range(rounds):
        for name in FILES:
            content = f"{name} {number} ".encode() * 20
            said.writing = (name, content)
            tick()
            workspace.write(name, content)
            said.files[name], said.writing = content, None
            tick()
        for step in (2 * number, 2 * number + 1):
            CheckpointFolder(workspace, "train").save(checkpoint(step))
            said.step = step
            tick()
        chain(workspace, number, said, tick)


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"avatar": f"avatar {step} ".encode() * 30, "state.json": f'{{"step": {step}}}'.encode()})


def chain(workspace: Workspace, number: int, said: Said, tick: Callable[[], None]) -> StageManifests:
    """Stages that build on each other, each with a file."""
    manifests = StageManifests(workspace, lambda _: None)
    before: tuple[str, ...] = ()
    for stage in STAGES:
        content = f"{stage} {number} ".encode() * 25

        def make(stage: str = stage, content: bytes = content) -> dict[str, int]:
            said.made.append(stage)
            said.stages.pop(stage, None)  # its file is being replaced
            tick()
            workspace.write(f"avatar/{stage}", content)
            return {}

        manifests.run(stage, manifests.digest(stage, before, number), make, lambda _, s=stage: [f"avatar/{s}"], before)  # type: ignore[misc]
        said.stages[stage] = content
        tick()
        before = (stage,)
    return manifests


@dataclass
class CrashOutcome:
    """What many crash points came to."""

    points: int = 0
    torn: int = 0
    lost: int = 0
    dead_ends: int = 0
    first: str = ""

    @property
    def faults(self) -> int:
        return self.torn + self.lost + self.dead_ends

    def note(self, kind: str, what: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.first = self.first or f"{kind}: {what}"


def look_at(workspace: Workspace, said: Said, verdict: CrashOutcome, where: str) -> None:
    """Judge one state that is left."""
    verdict.points += 1
    for name in FILES:
        allowed = {said.files.get(name), said.writing[1] if said.writing and said.writing[0] == name else None}
        found = workspace.read(name) if workspace.has(name) else None
        if found is None and name in said.files:
            verdict.note("lost", f"{name}, {where}")
        elif found is not None and found not in allowed:
            verdict.note("torn", f"{name} holds {len(found)} bytes, {where}")
    loaded = CheckpointFolder(workspace, "train").load()
    if (loaded is None and said.step >= 0) or (loaded is not None and loaded.step < said.step):
        verdict.note("lost", f"checkpoint {said.step}, found {loaded and loaded.step}, {where}")
    elif loaded is not None and loaded.files != checkpoint(loaded.step).files:
        verdict.note("torn", f"checkpoint {loaded.step}, {where}")
    for stage, content in said.stages.items():
        if not workspace.has(f"manifests/{stage}.json") or workspace.read(f"avatar/{stage}") != content:
            verdict.note("lost", f"stage {stage}, {where}")


def go_on(workspace: Workspace, number: int, verdict: CrashOutcome, where: str) -> None:
    """Repeat the last round and compare with a run that nobody disturbed."""
    said = Said()
    try:
        manifests = chain(workspace, number, said, lambda: None)
    except (WorkspaceError, AssertionError) as error:
        verdict.note("dead_ends", f"{error}, {where}")
        return
    wrong = [s for s in STAGES if workspace.read(f"avatar/{s}") != f"{s} {number} ".encode() * 25]
    if wrong or len(manifests.skipped) + len(said.made) != len(STAGES):
        verdict.note("torn", f"the chain ended otherwise in {wrong}, {where}")


def on_a_disk(points: int, seed: int = 0) -> CrashOutcome:
    """Crash points of a local workspace, half of them kills and half of them failures of the power."""
    verdict, rng = CrashOutcome(), random.Random(seed)
    memory = Path("/dev/shm")  # nothing needs to be on a disk here, and memory is quicker
    with tempfile.TemporaryDirectory(prefix="perse-crash-", dir=memory if memory.is_dir() else None) as folder:
        here = Path(folder)
        recording = RecordingOs(here)
        moments: list[tuple[int, Said]] = []
        said = Said()
        with _instead_of_os(recording):
            workspace = Workspace.open(here / "w")
            commits(workspace, said, lambda: moments.append((len(recording.log), said.copy())))
        states = _states(recording, moments)
        with _instead_of_os(UnsyncedOs()):
            while verdict.points < points:
                number = rng.randrange(len(recording.log) + 1)
                power = bool(rng.getrandbits(1))
                left, known = states(number, rng, power)
                place = here / "left"
                _restored(place, left)
                _judged(str(place / "w"), known, verdict, f"after operation {number}, {power=}")
                shutil.rmtree(place, ignore_errors=True)
    return verdict


def _judged(location: str, known: Said, verdict: CrashOutcome, where: str, store: ObjectStore | None = None) -> None:
    try:
        workspace = Workspace.open(location) if store is None else stored(store)
        look_at(workspace, known, verdict, where)
        go_on(workspace, ROUNDS - 1, verdict, where)
    except WorkspaceError as error:
        verdict.points += 1
        verdict.note("dead_ends", f"{error}, {where}")


def _states(
    recording: RecordingOs, moments: list[tuple[int, Said]]
) -> Callable[[int, random.Random, bool], tuple[dict[str, bytes | None], Said]]:
    """What is left after a number of operations, and what had been said by then."""

    def state(number: int, rng: random.Random, power: bool) -> tuple[dict[str, bytes | None], Said]:
        disk = Disk()
        for operation in recording.log[:number]:
            disk.do(operation)
        known = [said for count, said in moments if count <= number]
        return disk.left(rng, power=power), known[-1] if known else Said()

    return state


def _restored(place: Path, left: dict[str, bytes | None]) -> None:
    place.mkdir()
    for name, content in left.items():
        if content is None:
            (place / name).mkdir()
        else:
            (place / name).write_bytes(content)


@contextmanager
def _instead_of_os(other: RecordingOs) -> Iterator[None]:
    before = durable_files.os
    durable_files.os = other  # type: ignore[assignment]
    try:
        yield
    finally:
        durable_files.os = before


def on_an_object_store(points: int, seed: int = 0) -> CrashOutcome:
    """Crash points of a workspace on an object store: after every change of it."""
    verdict, rng = CrashOutcome(), random.Random(seed)
    store, said = ObjectStore(), Said()
    moments: list[tuple[int, Said]] = []
    with _instead_of_os(UnsyncedOs()):
        commits(stored(store), said, lambda: moments.append((len(store.history) - 1, said.copy())))
        while verdict.points < points:
            number = rng.randrange(len(store.history))
            known = [one for count, one in moments if count <= number]
            left = ObjectStore(store.history[number])
            _judged("", known[-1] if known else Said(), verdict, f"after change {number}", left)
    return verdict


def stored(store: ObjectStore) -> Workspace:
    """A workspace on that store."""
    workspace = Workspace("crash://bucket/w")
    workspace.__dict__["_place"] = (fs.PyFileSystem(store), "bucket/w")
    workspace._found()
    return workspace
