"""What comes out does not depend on how many work, nor on how many rows they are handed at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from batch_fakes import DrawnConfig

from perse.data.workspace import Workspace
from perse_ray.rows import in_process, on_ray_data
from perse_ray.rows.attempts import new_ledger
from perse_ray.rows.executor import Executor
from perse_ray.rows.stage import Row, Stage


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
