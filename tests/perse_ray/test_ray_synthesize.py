"""Synthesis as a whole: every subject exactly once, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from ray_fakes import FakeSupply, fake_studio, small_portrait

from perse.attributes import Category
from perse.data import archive
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.rows import in_process, on_ray_data
from perse_ray.synthesis.prompt_supply import ListSupply
from perse_ray.synthesis.synthesize import Synthesis, synthesize


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.open(tmp_path / "w")
    archive.save_portrait(workspace, small_portrait())
    return workspace


def quiet(_: str) -> None:
    """No progress in the test's output."""


def names(outcome: Synthesis) -> list[str]:
    return [subject.prompt.key for subject in outcome.subjects]


def test_all_clips_are_there_under_the_keys_that_are_reported(workspace: Workspace, tmp_path: Path) -> None:
    studio = fake_studio(tmp_path / "j")
    outcome = synthesize(workspace, studio, FakeSupply(2), execute=in_process.run, show=quiet)
    assert names(outcome) == ["hat-0000", "hat-0001", "nose-0000", "nose-0001"]
    assert set(workspace.names("clips", ".parquet")) == {outcome.reference, *(s.clip for s in outcome.subjects)}
    assert archive.load_clip(workspace, outcome.reference).key == "someone"
    for subject in outcome.subjects:
        assert archive.load_clip(workspace, subject.clip).key == subject.edit
        assert archive.load_edit(workspace, subject.edit).prompt == subject.prompt
    assert archive.load_prompts(workspace) == [subject.prompt for subject in outcome.subjects]
    assert outcome.shortfall == () and outcome.rejected == () and outcome.quarantined == ()


def test_a_second_run_does_nothing(workspace: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "j"
    first = synthesize(workspace, fake_studio(journal), FakeSupply(2), execute=in_process.run, show=quiet)
    done = journal.read_text()
    assert synthesize(workspace, fake_studio(journal), FakeSupply(2), execute=in_process.run, show=quiet) == first
    assert journal.read_text() == done


def test_more_prompts_later_only_add(workspace: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "j"
    synthesize(workspace, fake_studio(journal), FakeSupply(1), execute=in_process.run, show=quiet)
    synthesize(workspace, fake_studio(journal), FakeSupply(2), execute=in_process.run, show=quiet)
    assert set(Counter(journal.read_text().splitlines()).values()) == {1}


def test_rejected_and_failed_prompts_are_replaced_from_the_reserves(workspace: Workspace, tmp_path: Path) -> None:
    texts = (("hat-0000", "reject"), ("hat-0002", "reject"), ("nose-0001", "raise"))
    outcome = synthesize(
        workspace, fake_studio(tmp_path / "j"), FakeSupply(2, texts), execute=in_process.run, show=quiet
    )
    assert sorted(names(outcome)) == ["hat-0001", "hat-0003", "nose-0000", "nose-0002"]
    assert [(r.prompt.key, r.reasons) for r in outcome.rejected] == [
        ("hat-0000", ("asked to",)),
        ("hat-0002", ("asked to",)),
    ]
    assert workspace.has(f"edits/{outcome.rejected[0].edit}.parquet"), "a rejected edit is kept"
    assert [(row.name, row.error) for row in outcome.quarantined] == [("nose-0001", "RuntimeError: two lines")]
    assert outcome.shortfall == ()


def test_a_shortfall_is_reported_and_not_waited_for(workspace: Workspace, tmp_path: Path) -> None:
    texts = tuple((f"hat-{number:04d}", "reject") for number in range(100))
    outcome = synthesize(
        workspace, fake_studio(tmp_path / "j"), FakeSupply(2, texts), execute=in_process.run, show=quiet
    )
    assert outcome.shortfall == ((Category.HAT, 2),)
    assert names(outcome) == ["nose-0000", "nose-0001"]


def test_ones_own_prompts_are_never_replaced(workspace: Workspace, tmp_path: Path) -> None:
    prompts = tuple(FakeSupply(2, (("hat-0001", "reject"),)).plan())
    outcome = synthesize(
        workspace, fake_studio(tmp_path / "j"), ListSupply(prompts), execute=in_process.run, show=quiet
    )
    assert names(outcome) == ["hat-0000", "nose-0000", "nose-0001"]
    assert outcome.shortfall == ((Category.HAT, 1),)


def test_nothing_at_all_is_an_error_that_names_the_first_problem(workspace: Workspace, tmp_path: Path) -> None:
    prompts = tuple(FakeSupply(1, (("hat-0000", "raise"), ("nose-0000", "raise"))).plan())
    with pytest.raises(StageError, match=r"not one edit came off.*two lines"):
        synthesize(workspace, fake_studio(tmp_path / "j"), ListSupply(prompts), execute=in_process.run, show=quiet)


@pytest.mark.usefixtures("ray_session")
def test_ray_makes_what_inline_makes_even_if_prompts_kill_their_worker(workspace: Workspace, tmp_path: Path) -> None:
    texts = (("hat-0001", "reject"), ("nose-0000", "segfault"))
    outcome = synthesize(
        workspace, fake_studio(tmp_path / "j"), FakeSupply(3, texts), execute=on_ray_data.run, show=quiet
    )
    assert sorted(names(outcome)) == ["hat-0000", "hat-0002", "hat-0003", "nose-0001", "nose-0002", "nose-0003"]
    assert ["Segmentation fault" in row.error for row in outcome.quarantined] == [True]
    assert len(workspace.names("clips", ".parquet")) == 7
    again = synthesize(workspace, fake_studio(tmp_path / "j"), FakeSupply(3, texts), execute=in_process.run, show=quiet)
    assert again == outcome, "the segfault is not met again: this process would not have lived to say so"


DRIVER = """
import sys
from pathlib import Path
from ray_fakes import FakeSupply, fake_studio
from perse.data.workspace import Workspace
from perse_ray.rows import on_ray_data
from perse_ray.runtime.session import LocalRay, ray_session
from perse_ray.synthesis.synthesize import synthesize
if __name__ == "__main__":
    with ray_session(LocalRay(num_cpus=8, object_store_mib=100)):
        studio = fake_studio(Path(sys.argv[2]), 0.3)
        synthesize(Workspace.open(sys.argv[1]), studio, FakeSupply(8), execute=on_ray_data.run)
"""


def test_a_killed_driver_loses_only_what_was_in_flight(workspace: Workspace, tmp_path: Path) -> None:
    journal = tmp_path / "j"
    program = tmp_path / "driver.py"
    program.write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    driver = subprocess.Popen([sys.executable, program, workspace.location, journal], env=environment)
    deadline = time.monotonic() + 400  # on a crowded machine Ray alone takes minutes to start
    while len(workspace.names("clips", ".parquet")) < 5:
        assert driver.poll() is None and time.monotonic() < deadline, "the driver should still be working"
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(3)  # its workers notice
    finished = workspace.names("clips", ".parquet")
    assert 5 <= len(finished) < 17

    outcome = synthesize(workspace, fake_studio(journal, 0.3), FakeSupply(8), execute=in_process.run, show=quiet)
    assert len(outcome.subjects) == 16 and outcome.quarantined == ()
    assert set(workspace.names("clips", ".parquet")) == {outcome.reference, *(s.clip for s in outcome.subjects)}
    filmed = Counter(line for line in journal.read_text().splitlines() if line.startswith("animate"))
    assert sum(filmed.values()) <= 17 + 2, "at most the clip in flight is made again"
