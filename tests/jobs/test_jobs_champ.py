"""The commands around animators: mistakes, and what the table says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import tyro

from perse.errors import InputError, MissingWeightsError, RecipeError
from perse.evaluation.metrics import SetDistances
from perse.evaluation.metrics.sets import INCEPTION_FILE
from perse.evaluation.reenactment import ReenactmentScores
from perse_ray.commands import evaluate_animators, train_portrait_champ

JOB = Path(__file__).parents[2] / "jobs" / "train_portrait_champ.py"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--recipe", "champ-huge"], RecipeError, "known: champ-paper, champ-tiny"),
        (["--recipe", "champ-paper"], InputError, "champ-paper needs --videos"),
        (["--recipe", "champ-paper", "--videos", "."], MissingWeightsError, "perse models fetch stable-diff"),
    ],
)
def test_a_training_that_cannot_work_is_refused_before_any_work(
    words: list[str], error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diffusers", reason="the production extra is not installed")
    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        train_portrait_champ.main(tyro.cli(train_portrait_champ.Arguments, args=words))
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_that_cannot_work_is_refused_before_any_work(tmp_path: Path) -> None:
    def run(*words: str) -> None:
        evaluate_animators.main(tyro.cli(evaluate_animators.Arguments, args=list(words)))

    with pytest.raises(InputError, match="there is no folder"):
        run("--videos", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="there is no video in"):
        run("--videos", str(tmp_path))
    with pytest.raises(InputError, match="--frames must be at least 2"):
        run("--videos", str(tmp_path), "--frames", "1")


def test_weights_that_were_named_must_be_there(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="the production extra is not installed")
    (tmp_path / "a.mp4").write_bytes(b"")
    words = ["--videos", str(tmp_path), "--champ", str(tmp_path)]
    with pytest.raises(MissingWeightsError, match=r"holds no portrait-Champ: expected portrait_champ\.json"):
        evaluate_animators.main(tyro.cli(evaluate_animators.Arguments, args=words))


def test_the_table_has_means_and_says_of_how_many_videos() -> None:
    table = {
        "a.mp4": {"procedural": ReenactmentScores(20.0, 0.8, 0.1), "portrait-Champ": ReenactmentScores(10.0, 0.5, 0.3)},
        "b.mp4": {"procedural": ReenactmentScores(22.0, 0.9, 0.2)},
    }
    head, procedural, champ = evaluate_animators.table_lines(table)
    assert head.split() == ["PSNR", "SSIM", "LPIPS", "FID", "KID", "videos"]
    assert procedural.split() == ["procedural", "21.00", "0.8500", "0.1500", "–", "–", "2/2"]
    assert champ.split() == ["portrait-Champ", "10.00", "0.5000", "0.3000", "–", "–", "1/2"]
    measured = evaluate_animators.table_lines(table, {"procedural": SetDistances(12.34, 0.056, 0.0, 46)})
    assert measured[1].split() == ["procedural", "21.00", "0.8500", "0.1500", "12.34", "0.0560", "2/2"]
    alone = evaluate_animators.table_lines({"a.mp4": {"procedural": ReenactmentScores(20.0, 0.8, None)}})
    assert "–" in alone[1]


def test_a_file_that_is_not_inceptions_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Same(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures

    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path))
    assert evaluate_animators._sets() is None
    (tmp_path / "inception-fid").mkdir()
    torch.jit.script(Same()).save(str(tmp_path / "inception-fid" / INCEPTION_FILE))
    assert evaluate_animators._sets() is None
    absent, other = capsys.readouterr().out.splitlines()
    assert "inception-fid" in absent and "gives no features" in other


def train_champ(workspace: Path, until: Path | None = None) -> str:
    """`perse train-champ --recipe champ-tiny` in a process of its own; killed where a file appears. What it printed."""
    command = [sys.executable, str(JOB), "--recipe", "champ-tiny", "--workspace", str(workspace)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    while until is not None and not until.exists() and process.poll() is None:
        time.sleep(0.2)
    if until is not None and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    shown, _ = process.communicate()
    assert process.returncode == (0 if until is None else -signal.SIGKILL), shown
    return shown


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_two_cores_overfit_four_clips(tmp_path: Path) -> None:
    """Minutes: films four videos, trains on them, and once more with a kill in between."""
    pytest.importorskip("diffusers", reason="the production extra is not installed")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert "4 videos" in train_champ(whole)
    numbers = json.loads((whole / "report" / "samples" / "motion-00000040.json").read_text())
    # 1 dB of room: seeds and machines differ by less than half of it.
    assert numbers["held_out_psnr"] > numbers["held_out_psnr_of_first_frame"] + 1.0
    shutil.copytree(whole / "videos", killed / "videos")
    shutil.copy(whole / "workspace.json", killed)  # a folder with files and without one is nobody's workspace
    train_champ(killed, until=killed / "checkpoints" / "frames" / "step-00000100" / "manifest.json")
    train_champ(killed)
    for name in ("portrait_champ.json", "portrait_champ.safetensors"):
        assert (whole / "weights" / name).read_bytes() == (killed / "weights" / name).read_bytes(), name
