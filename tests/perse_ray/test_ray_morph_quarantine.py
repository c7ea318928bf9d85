"""A morph that could not be made is found in quarantine by people, and may be tried again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perse.attributes import Category
from perse.avatar import Subject
from perse.data import archive
from perse.data.workspace import Workspace
from perse_ray.build.quarantine import forget, lost_morphs
from perse_ray.commands.quarantine import run as command
from perse_ray.training.morph_pool import MorphPool
from perse_ray.training.morph_work import MorphTask
from perse_ray.training.pooled_morphs import PooledMorphs

TASK = MorphTask("clip b", "clip c", Category.HAT, 40, (0.5,))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """With a failed morph between two hats, after a fine-tuning."""
    workspace = Workspace.open(tmp_path / "w")
    pool = MorphPool(application="none", ingredients="some", actors=1, gpus=0.0, task_limit_s=1.0)
    store: Any = None
    morphs = PooledMorphs(pool, workspace, ("clip a", "clip b", "clip c"), store, stop=1)
    subjects = (Subject("me", None, ""), Subject("b", Category.HAT, "red cap"), Subject("c", Category.HAT, "beanie"))
    tuner: Any = SimpleNamespace(trainer=SimpleNamespace(avatar=SimpleNamespace(subjects=subjects)))
    morphs._tuner = tuner
    for _ in range(2):  # asked for again in a later step, it is the same row
        morphs._quarantined(TASK, "out of memory with a single picture")
    for name in ("manifests/finetune.json", "checkpoints/finetune.json", "manifests/train.json"):
        workspace.write_json(name, {})
    return workspace


def test_it_is_a_line_with_the_pair_and_the_frame(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = archive.load_quarantined(workspace)
    assert (row.name, row.stage) == ("red cap to beanie, frame 40", "morph")
    assert command(["list", "--workspace", workspace.location]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "red cap to beanie" in line and "out of memory with a single picture" in line


def test_a_build_says_how_many_were_done_without(workspace: Workspace, tmp_path: Path) -> None:
    """Nobody looks into a quarantine of which nothing is said."""
    said = lost_morphs(workspace)
    assert said.startswith("1 morph could not be made") and "perse quarantine retry" in said
    assert lost_morphs(Workspace.open(tmp_path / "sound")) == ""


def test_a_second_try_begins_at_the_trained_avatar(workspace: Workspace) -> None:
    """What was fine-tuned without that morph has it in no weight."""
    assert forget(workspace) == 1
    assert not archive.load_quarantined(workspace)
    assert not workspace.has("manifests/finetune.json") and not workspace.has("checkpoints/finetune.json")
    assert workspace.has("manifests/train.json")
