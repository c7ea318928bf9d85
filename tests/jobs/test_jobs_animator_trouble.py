"""Broken weights, edits and driving videos, met by the command that a user types: a line each, and the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perse_ray.commands import build_avatar

pytest.importorskip("diffusers", reason="the production extra is not installed")
from animator_trouble import EXPECTED, place, save_trouble

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_weights_of_another_model_are_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    place().mkdir()
    save_trouble(place())
    (file,) = (place() / "sound").rglob("motion_extractor.safetensors")
    (other,) = (place() / "sound").rglob("warping_module.safetensors")
    file.write_bytes(other.read_bytes())
    assert build_avatar.run(["--recipe", "animator_trouble:trouble", "--workspace", str(tmp_path / "w")]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    assert "motion_extractor.safetensors is not LivePortrait's motion network" in line
    assert not (tmp_path / "w").exists()


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
