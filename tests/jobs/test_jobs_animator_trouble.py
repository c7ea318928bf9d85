"""Broken weights, edits and driving videos, met by the command that a user types: a line each, and the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perse.data import TrackedPortrait, archive
from perse.data.workspace import Workspace
from perse.synthesis.prompts import read_prompts_csv
from perse_ray.build.components import studio_of
from perse_ray.rows import in_process
from perse_ray.synthesis.prompt_supply import ListSupply
from perse_ray.synthesis.synthesize import synthesize

pytest.importorskip("diffusers", reason="the production extra is not installed")
from animator_trouble import EXPECTED, place, save_trouble, trouble

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_weights_with_a_hole_and_weights_that_draw_night_are_told_apart(
    tracked_astronaut: TrackedPortrait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From safetensors to the quarantine, without a process between."""
    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path / "weights"))
    place().mkdir()
    save_trouble(place())
    workspace = Workspace.open(tmp_path / "w")
    archive.save_portrait(workspace, tracked_astronaut)
    chosen = ("beard", "hat", "hair")
    prompts = tuple(one for one in read_prompts_csv(place() / "prompts.csv") if one.category.value in chosen)
    found = synthesize(workspace, studio_of(trouble()), ListSupply(prompts), execute=in_process.run)
    assert [one.prompt.category.value for one in found.subjects] == ["beard"]
    errors = {row.name.split("-")[0]: row for row in found.quarantined}
    assert set(errors) == {"hat", "hair"}
    for category, row in errors.items():
        assert EXPECTED[category] in row.error and row.stage == "animate" and "\n" not in row.error


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_each_trouble_is_a_line_in_quarantine_and_the_avatar_is_built(tmp_path: Path) -> None:
    """Minutes: a build of seven prompts of which six cannot be filmed."""
    files, run = tmp_path / "trouble", str(tmp_path / "run")
    files.mkdir()
    save_trouble(files)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "client"), str(HERE), str(ROOT / "tests" / "synthesis")])
    surroundings = {**os.environ, "PERSE_WEIGHTS": str(tmp_path / "weights"), "PYTHONPATH": paths}

    def shown(job: str, *words: str) -> str:
        command = [sys.executable, str(ROOT / "jobs" / job), *words]
        done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
        return done.stdout

    words = ("--recipe", "animator_trouble:trouble", "--prompts", str(files / "prompts.csv"), "--workspace", run)
    built = shown("build_avatar.py", *words)
    assert "6 in quarantine" in built and "done in" in built
    listed = shown("quarantine.py", "show", "--workspace", run)
    for category, error in EXPECTED.items():
        assert f"\n{category}-" in f"\n{listed}" and error in listed, category
    kept = [path for path in (files / "guidance").rglob("*") if path.suffix in (".png", ".jpg")]
    assert kept, "guidance that a person can look at"
