"""Whatever a prompt does to its worker, it ends in quarantine with its reason, and nobody else is lost with it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from ray_fakes import FakeSupply, fake_studio, small_portrait

from perse.data import archive
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.commands.quarantine import run as command
from perse_ray.rows import in_process, on_ray_data
from perse_ray.rows.executor import Executor
from perse_ray.synthesis.prompt_supply import ListSupply
from perse_ray.synthesis.stages import SynthesisConfig
from perse_ray.synthesis.synthesize import Synthesis, synthesize

RAISED = {
    "raise": "RuntimeError: two lines",
    "leave": "SystemExit: 3",
    "memory": "MemoryError",
    "recursion": "RecursionError",
    "unprintable": "its message cannot be printed",
    "surrogates": r"RuntimeError: b\udcffd",
    "nan": "the edit's picture is float64",
    "nothing": "NoneType",
    "black": "one colour fills the edit's picture",
    "small": "the edit's picture is uint8 [4, 8, 3]",
}
"""What the editor does, and what the reason says. The process lives."""

DIES = {
    "exit": "ended its worker process",
    "segfault": "Segmentation fault",
    "abort": "Aborted",
    "killed": "ended its worker process",
    "hang": "took longer than 2 s",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.open(tmp_path / "w")
    archive.save_portrait(workspace, small_portrait())
    return workspace


def made(workspace: Workspace, words: list[str], execute: Executor, studio: SynthesisConfig | None = None) -> Synthesis:
    """One prompt for each word, with a good one before each of them."""
    count = len(words)
    texts = tuple((f"nose-{i:04d}", word) for i, word in enumerate(words))
    prompts = tuple(p for pair in zip(*_halves(FakeSupply(count, texts)), strict=True) for p in pair)
    studio = studio or fake_studio(workspace.path.parent / "j")
    return synthesize(workspace, studio, ListSupply(prompts), execute=execute, show=lambda _: None)


def _halves(supply: FakeSupply) -> tuple[list, list]:  # type: ignore[type-arg]
    plan = supply.plan()
    return plan[: len(plan) // 2], plan[len(plan) // 2 :]


def check(found: Synthesis, words: dict[str, str]) -> None:
    """Every word's prompt is in quarantine with its reason, and every other has its clip, once."""
    rows = {row.name: row for row in found.quarantined}
    assert len(rows) == len(found.quarantined) == len(words)
    for number, (word, reason) in enumerate(words.items()):
        row = rows[f"nose-{number:04d}"]
        assert reason in row.error, word
        assert row.stage in ("edit", "animate") and "\n" not in row.error and len(row.error) <= 500
        assert row.traceback or word in ("killed", "exit"), word
    counts = Counter(subject.prompt.key for subject in found.subjects)
    assert counts == Counter(f"hat-{number:04d}" for number in range(len(words)))


def test_what_raises_is_quarantined_in_this_process(workspace: Workspace) -> None:
    check(made(workspace, list(RAISED), in_process.run), RAISED)


def test_control_c_in_the_users_own_process_is_the_users(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(workspace, ["interrupt"], in_process.run)
    assert archive.load_quarantined(workspace) == []


@pytest.mark.usefixtures("ray_session")
def test_what_would_end_python_is_quarantined_in_a_worker_after_three_attempts(workspace: Workspace) -> None:
    words = {"interrupt": "KeyboardInterrupt", "leave": "SystemExit: 3", "surrogates": "RuntimeError"}
    studio = fake_studio(workspace.path.parent / "j")
    studio = replace(studio, edit_pool=replace(studio.edit_pool, max_attempts=3))
    found = made(workspace, list(words), on_ray_data.run, studio)
    check(found, words)
    attempts = {row.name: row.attempts for row in found.quarantined}
    assert attempts == {"nose-0000": 3, "nose-0001": 3, "nose-0002": 1}


@pytest.mark.heavy
@pytest.mark.usefixtures("ray_session")
def test_all_kinds_at_once_within_three_attempts(workspace: Workspace) -> None:
    """Minutes on two cores: each attempt of a row that dies costs the start of a worker."""
    words = RAISED | {"interrupt": "KeyboardInterrupt"} | DIES
    studio = fake_studio(workspace.path.parent / "j")
    studio = replace(studio, edit_pool=replace(studio.edit_pool, max_attempts=3, time_limit_s=2.0, workers=(2, 2)))
    begin = time.perf_counter()
    found = made(workspace, list(words), on_ray_data.run, studio)
    check(found, words)
    assert all(1 <= row.attempts <= 3 for row in found.quarantined)
    print(f"{len(words)} kinds in {time.perf_counter() - begin:.0f} s")


def test_too_many_in_quarantine_end_the_run_and_say_what_to_do(workspace: Workspace) -> None:
    texts = tuple((f"nose-{i:04d}", "raise") for i in range(3))
    supply = ListSupply(tuple(FakeSupply(3, texts).plan()))
    studio = fake_studio(workspace.path.parent / "j")
    with pytest.raises(StageError, match=r"3 of 6 prompts .* allows 40%.*two lines.*perse quarantine retry"):
        synthesize(workspace, studio, supply, execute=in_process.run, show=lambda _: None, quarantine_share=0.4)
    found = synthesize(workspace, studio, supply, execute=in_process.run, show=lambda _: None, quarantine_share=0.5)
    assert len(found.subjects) == 3


def test_the_command_lists_shows_and_lets_try_again(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--workspace", workspace.location]
    assert command(["list", *where]) == 0 and "nothing is in quarantine" in capsys.readouterr().out
    for number in range(2):
        row = QuarantinedRow(f"{number}abc", f"hat-000{number}", "edit", "it broke", "Traceback: line 1\nline 2", 3)
        archive.save_quarantined(workspace, row)
    workspace.commit("synthesize", {"inputs": "x"})
    workspace.commit("track", {"inputs": "x"})
    assert command(["list", *where]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in listed] == [[f"hat-000{n}", f"{n}abc", "edit"] for n in (0, 1)]
    assert command(["show", "hat-0001", *where]) == 0
    shown = capsys.readouterr().out
    assert "line 2" in shown and "1abc" in shown and "hat-0000" not in shown
    assert command(["retry", "0ab", *where]) == 0
    assert [row.name for row in archive.load_quarantined(workspace)] == ["hat-0001"]
    assert workspace.manifest("synthesize") is None and workspace.manifest("track") is not None
    assert command(["retry", "nobody", *where]) == 2 and "names 0 rows" in capsys.readouterr().err
    assert command(["retry", *where]) == 0 and archive.load_quarantined(workspace) == []
