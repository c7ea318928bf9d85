"""What comes out does not depend on how many work, nor on how many rows they are handed at once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from batch_fakes import DrawnConfig
from ray_fakes import FakeSupply, fake_studio, small_portrait

from perse.data import archive
from perse.data.workspace import Workspace
from perse_ray.rows import in_process, on_ray_data
from perse_ray.rows.attempts import new_ledger
from perse_ray.rows.executor import Executor
from perse_ray.rows.stage import Row, Stage
from perse_ray.synthesis.synthesize import Synthesis, synthesize


def content(place: Path, execute: Executor, actors: int, batch: int) -> str:
    """Digest of the rows, and of the files that they leave, of one run."""
    workspace = Workspace.open(place)
    stage = Stage(
        name="draw", work=DrawnConfig(workspace), reads=(), writes=(("mean", 0.0),), workers=(actors, actors),
        first_workers=actors, batch_size=batch,
    )  # fmt: skip
    given: list[Row] = [{"key": f"k{i:02d}", "name": f"row-{i}"} for i in range(20)]
    found = sorted(execute(given, (stage,), new_ledger(workspace)), key=lambda row: str(row["key"]))
    whole = hashlib.sha256(repr([(row["key"], row["mean"], row["status"]) for row in found]).encode())
    for name in sorted(workspace.names("report")):
        whole.update(workspace.read(f"report/{name}"))
    assert len(workspace.names("report")) == len(found) == 20
    return whole.hexdigest()


@pytest.mark.usefixtures("ray_session")
def test_one_actor_and_four_row_by_row_and_in_batches_make_the_same_to_the_bit(tmp_path: Path) -> None:
    here = content(tmp_path / "here", in_process.run, 1, 1)  # this process is the one actor
    assert content(tmp_path / "there", on_ray_data.run, 4, 3) == here  # the last batch is not full


@pytest.mark.usefixtures("ray_session")
def test_which_edits_are_accepted_depends_on_no_number_of_editors(tmp_path: Path) -> None:
    """Two editors end together, and may work ahead of need where edits are refused; one never does."""
    texts = tuple((f"{c}-{n:04d}", "reject") for c in ("hat", "nose") for n in (1, 2, 5, 6, 9))

    journal = tmp_path / "j"  # the fakes' is a part of their keys

    def made(place: Path, execute: Executor, editors: int) -> tuple[Synthesis, int]:
        journal.unlink(missing_ok=True)
        workspace = Workspace.open(place)
        archive.save_portrait(workspace, small_portrait())
        studio = fake_studio(journal)
        patient = replace(studio.edit_pool, time_limit_s=600.0)  # a row that a busy machine stops is one refused
        pool = replace(patient, workers=(editors, editors), first_workers=editors, batch_size=2)
        studio = replace(studio, edit_pool=pool, screen_pool=patient, animate_pool=patient)
        found = synthesize(workspace, studio, FakeSupply(6, texts), execute=execute, show=lambda _: None)
        return found, sum(line.startswith("edit ") for line in journal.read_text().splitlines())

    here, tried = made(tmp_path / "here", in_process.run, 1)
    assert tried == 22, "one editor tries none in vain: six of each are accepted, five refused"
    there, tried = made(tmp_path / "there", on_ray_data.run, 2)
    assert there == here
    assert 22 <= tried <= 22 + 2 * 2
