"""The body build through its command: tiny, whole, and skipped when it is run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perse.body.avatar import avatar_from_files
from perse_ray.commands.build_body import run


def test_a_body_is_built_and_a_second_run_skips_everything(
    tmp_path: Path, ray_session: None, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "body"
    words = ["--recipe", "tiny", "--workspace", str(place)]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "frames/s" in said and "unseen motion" in said
    metrics = json.loads((place / "report/metrics.json").read_text())
    assert metrics["guessed"] == [] and metrics["unseen_motion"]["mask_iou"] > 0.6
    for name in ("turntable.mp4", "wave.mp4", "walk.mp4", "dance.mp4", "close_ups.png", "unseen.png", "fit.png"):
        assert (place / "report" / name).stat().st_size > 500
    files = {name: (place / "avatar" / name).read_bytes() for name in ("body.safetensors", "body.json")}
    assert len(avatar_from_files(files)) == metrics["gaussians"]
    assert (place / "avatar/body.ply").read_bytes().startswith(b"ply")
    assert run(words) == 0
    assert "5 stages were finished before" in capsys.readouterr().out


def test_expected_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--recipe", "huge"], "no body recipe"),
        (["--portrait", str(tmp_path / "missing.jpg"), "--workspace", str(tmp_path / "w")], "missing.jpg"),
    ):
        assert run(words) == 2
        errors = capsys.readouterr().err.strip()
        assert said in errors and errors.count("\n") == 0
