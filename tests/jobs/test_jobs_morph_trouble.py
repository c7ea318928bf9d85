"""Teachers of interpolation in trouble, met by the commands that a user types: a line each, and the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perse.data.workspace import Workspace
from perse_ray.commands import build_avatar

pytest.importorskip("diffusers", reason="the production extra is not installed")
from morph_trouble import EXPECTED, save_trouble

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What PERSE_WEIGHTS is to be; all recipes but the one with mishaps leave everything as it is."""
    return save_trouble(tmp_path_factory.mktemp("trouble"))


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("other_unet", "its UNet maps 5 to 4 channels, the VAE has 4; expected Stable Diffusion 1 or 2"),
        ("other_scheduler", "FlowMatchEulerDiscreteScheduler has no DDIM form"),
    ],
)
def test_a_model_of_another_kind_is_refused_before_anything_is_made(
    recipe: str,
    words: str,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PERSE_WEIGHTS", str(store))
    monkeypatch.chdir(tmp_path)
    assert build_avatar.run(["--recipe", f"morph_trouble:{recipe}", "--workspace", str(tmp_path / "w")]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    assert words in line
    assert not (tmp_path / "w").exists()


@pytest.fixture
def surroundings(store: Path) -> dict[str, str]:
    """With everything that the recipes name."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "client"), str(HERE), str(ROOT / "tests")])
    return {**os.environ, "PERSE_WEIGHTS": str(store), "PYTHONPATH": paths}


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_a_morph_that_cannot_be_made_is_in_quarantine_and_can_be_tried_again(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    """Minutes: two builds, the second of which only fine-tunes."""
    workspace = Workspace.open(tmp_path / "run")

    def shown(job: str, *words: str) -> str:
        command = [sys.executable, str(ROOT / "jobs" / job), *words, "--workspace", workspace.location]
        done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
        return done.stdout

    def avatar() -> bytes:
        return workspace.read("avatar/avatar.safetensors")

    built = shown("build_avatar.py", "--recipe", "morph_trouble:mishaps")
    assert f"{len(EXPECTED)} morphs could not be made" in built
    lines = shown("quarantine.py", "list").splitlines()
    assert len(lines) == len(EXPECTED)
    for words in EXPECTED:
        assert [" to " in line and "frame" in line for line in lines if words in line] == [True], words
    with_fades = avatar()
    assert f"{len(EXPECTED)} will be tried again" in shown("quarantine.py", "retry")
    again = shown("build_avatar.py", "--recipe", "morph_trouble:mishaps")
    assert "train: finished before" in again and "finetune: done" in again and "could not be made" not in again
    assert "nothing is in quarantine" in shown("quarantine.py", "list")
    assert avatar() != with_fades


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_a_model_that_cannot_be_adapted_costs_the_fine_tuning_and_not_the_avatar(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    """Minutes: a build."""
    run = str(tmp_path / "run")
    words = ("--recipe", "morph_trouble:all_nan", "--workspace", run)
    command = [sys.executable, str(ROOT / "jobs" / "build_avatar.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert "not fine-tuned: no two subjects of a category have adapters" in done.stdout
