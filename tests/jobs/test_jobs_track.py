"""The command that makes a motion from a video: help, mistakes, what it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tyro

from perse.errors import InputError
from perse_ray.commands import track

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--video", "nowhere.mp4"], "cannot be read"),
        (["--video", "a.mp4", "--out", "a.csv"], "--out must end"),
        (["--video", "a.mp4", "--overlay", "a.gif"], "--overlay must end"),
        (["--video", "a.mp4", "--fps", "0"], "--fps must be"),
        (["--video", "a.mp4", "--rest", "-1"], "--rest must be"),
        (["--video", "a.mp4", "--out", "nowhere/a.json"], "does not exist"),
        ([], "give a --video"),
        (["--video", "a.mp4", "--parts", "a.png"], "belongs to --portrait"),
        (["--video", "a.mp4", "--portrait", "a.jpg"], "either --video or --portrait"),
        (["--portrait", "a.jpg", "--overlay", "a.mp4"], "written as .png"),
        (["--portrait", "a.jpg", "--parts", "nowhere/a.png"], "does not exist"),
        (["--portrait", "nowhere.jpg"], "there is no file"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        track.main(tyro.cli(track.Arguments, args=words))
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_file_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"#EXTM3U\nfile:///etc/hostname\n")
    command = [sys.executable, str(ROOT / "jobs" / "track.py"), "--video", "a.mp4"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert failed.returncode == 2 and failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tyro.cli(track.Arguments, description=track.__doc__, args=["--help"])
    assert "perse track --video me.mp4" in capsys.readouterr().out


def test_the_summary_names_gaps_and_other_faces() -> None:
    seen = np.ones(50, bool)
    seen[10:15] = False
    tracked = SimpleNamespace(
        seen=seen, fps=25.0, rms_px=np.where(seen, 1.25, np.nan), rest=(3,), faces=2, window=(0.0, 0.0, 320.0),
        gaps=lambda: [(10, 14)],
    )  # fmt: skip
    lines = track.summary(tracked, Path("a.json"))  # type: ignore[arg-type]
    assert lines[0] == "50 frames at 25 frames a second in a.json" and "1.2 px off, of a face 100 px wide" in lines[1]
    assert "--face N" in lines[3] and "5 frames without the face are interpolated: 0.40–0.60 s" in lines[4]
