"""Filming from the command line: what is made is what was asked for, and it is signed."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch
import tyro
from PIL import Image
from synthetic_avatar import CLOSED, START, synthetic_avatar

from perse.avatar import StartConfig, save_avatar
from perse.data.motion_file import Motion, write_motion
from perse.data.workspace import Workspace
from perse.errors import InputError, PerseError
from perse.export import portrait_camera, verify_file
from perse_ray.commands import export, render, verify

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workspace(head_model, tiny_clips, tmp_path_factory: pytest.TempPathFactory) -> str:  # type: ignore[no-untyped-def]
    place = Workspace.open(tmp_path_factory.mktemp("render") / "me")
    save_avatar(synthetic_avatar(head_model, tiny_clips), place.path / "avatar")
    return place.location


@pytest.fixture(autouse=True)
def _own_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSE_SIGNING", str(tmp_path_factory.getbasetemp() / "signing"))


def run(*words: object) -> None:
    render.main(tyro.cli(render.Command, args=[str(word) for word in words]))  # type: ignore[arg-type]


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def test_a_portrait_is_edited_and_signed(workspace: str, tmp_path: Path) -> None:
    plain, edited = tmp_path / "plain.png", tmp_path / "hat.png"
    run("portrait", "--workspace", workspace, "--size", 48, "--out", plain)
    run("portrait", "--workspace", workspace, "--size", 48, "--wear", "hat=hat-", "--out", edited)
    assert opened(plain).shape == (48, 48, 3)
    assert np.abs(opened(plain).astype(int) - opened(edited)).max() > 20
    assert verify_file(plain).ours and verify_file(plain).provenance.edits == ()
    (edit,) = verify_file(edited).provenance.edits
    assert (edit.category, edit.text, edit.weight) == ("hat", "a prompt", 1.0)


def test_expression_pose_and_camera_move_the_picture(workspace: str, tmp_path: Path) -> None:
    pictures = []
    for name, words in {
        "rest": [], "jaw": ["--pose", "jaw=25,0,0"], "smile": ["--expression", "mouthSmileLeft=1"],
        "yaw": ["--yaw", 40],
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.png"
        run("portrait", "--workspace", workspace, "--size", 64, "--no-sign", *words, "--out", path)
        pictures.append(opened(path).astype(int))
    changes = [np.abs(picture - pictures[0]).mean() for picture in pictures]
    assert changes[0] == 0 and all(change > 0 for change in changes[1:]) and changes[3] > changes[2]


@pytest.mark.parametrize(("start", "reach"), [(START, 40), (CLOSED, 180)], ids=["open", "closed"])
def test_a_turntable_shows_what_is_good(start: StartConfig, reach: float, head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """Without --reach: from side to side, and all around where the back is closed."""
    avatar = synthetic_avatar(head_model, tiny_clips, config=start)
    asked = tyro.cli(render.Turntable, args=["--out", "turn.mp4", "--frames", "40"])
    shots, _, _ = render.planned(avatar, asked)
    home = portrait_camera(avatar, 512).world_to_camera[:3, :3]
    turns = [shot.camera.world_to_camera[:3, :3] @ home.T for shot in shots]
    farthest = max(math.degrees(math.acos(float(((turn.trace() - 1) / 2).clamp(-1, 1)))) for turn in turns)
    assert farthest == pytest.approx(reach, abs=0.1)  # degrees: an arc cosine near one loses half of float32's digits
    wide = tyro.cli(render.Turntable, args=["--out", "turn.mp4", "--frames", "40", "--reach", "70"])
    assert not torch.equal(render.planned(avatar, wide)[0][10].camera.world_to_camera, shots[10].camera.world_to_camera)


def test_a_turntable_is_a_video(workspace: str, tmp_path: Path) -> None:
    path = tmp_path / "turn.mp4"
    run("turntable", "--workspace", workspace, "--size", 48, "--frames", 6, "--fps", 12, "--out", path)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 12
        assert len(list(container.decode(video=0))) == 6
    assert verify_file(path).intact


def test_an_interpolation_is_a_strip_whose_ends_are_the_ends(workspace: str, tmp_path: Path) -> None:
    path, last = tmp_path / "strip.png", tmp_path / "end.png"
    run("interpolate", "--workspace", workspace, "--size", 40, "--steps", 4, "--end", "hat=hat-", "--out", path)
    run("portrait", "--workspace", workspace, "--size", 40, "--wear", "hat=hat-", "--out", last)
    assert opened(path).shape == (40, 160, 3)
    assert (opened(path)[:, -40:] == opened(last)).all()


def test_a_motion_file_is_performed(workspace: str, tmp_path: Path) -> None:
    turns = np.zeros((3, 3), np.float32)
    turns[:, 1] = (-0.5, 0, 0.5)
    write_motion(tmp_path / "m.json", Motion(10.0, {}, {"neck": turns}))
    run("reenact", "--workspace", workspace, "--size", 40, "--motion", tmp_path / "m.json", "--transparent",
        "--out", tmp_path / "frames")  # fmt: skip
    frames = [opened(path) for path in sorted((tmp_path / "frames").iterdir())]
    assert len(frames) == 3 and frames[0].shape == (40, 40, 4) and frames[0][0, 0, 3] == 0
    assert np.abs(frames[0].astype(int) - frames[2]).max() > 20


def test_the_built_in_motion_as_webp(workspace: str, tmp_path: Path) -> None:
    run("reenact", "--workspace", workspace, "--size", 32, "--stride", 40, "--out", tmp_path / "a.webp")
    with Image.open(tmp_path / "a.webp") as animated:
        assert animated.n_frames == 3
    assert verify_file(tmp_path / "a.webp").intact


@pytest.mark.parametrize(
    "words",
    [
        ["portrait", "--out", "a.gif"],
        ["portrait", "--out", "a.png", "--size", "9999"],
        ["portrait", "--out", "a.png", "--wear", "hat=crown"],
        ["portrait", "--out", "a.png", "--expression", "jaw"],
        ["portrait", "--out", "a.png", "--pose", "tail=1,2,3"],
        ["portrait", "--out", "a.jpg", "--transparent"],
        ["turntable", "--out", "a.jpg"],
        ["turntable", "--out", "a.png"],
        ["turntable", "--out", "a.mp4", "--reach", "0"],
        ["turntable", "--out", "a.mp4", "--reach", "nan"],
        ["turntable", "--out", "a.mp4", "--reach", "270"],
        ["reenact", "--out", "a.mp4", "--motion", "nowhere.json"],
        ["portrait", "--out", "a.png", "--workspace", "nowhere"],
    ],
)
def test_what_cannot_be_made_is_explained(
    words: list[str], workspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PerseError) as caught:
        run(*words, *([] if "--workspace" in words else ["--workspace", workspace]))
    assert "\n" not in str(caught.value) and isinstance(caught.value, InputError)
    assert list(tmp_path.iterdir()) == []


def test_the_command_runs_as_a_program_and_mistakes_exit_with_2(tmp_path: Path) -> None:
    failed = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "render.py"), "portrait", "--workspace", str(tmp_path), "--out", "a.png"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert failed.returncode == 2 and failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1


@pytest.mark.parametrize("job", [render, export, verify])
def test_help_shows_examples(job: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tyro.cli(getattr(job, "Command", None) or job.Arguments, description=job.__doc__, args=["--help"])
    assert f"perse {job.__name__.rpartition('.')[2]}" in capsys.readouterr().out
