"""Bad input ends in one line that says what to do, and exit code 2."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from perse.data.images import read_portrait
from perse.data.workspace import Workspace
from perse.data.workspace_lock import locked
from perse_ray.commands.command_line import EXIT_EXPECTED, run_command

ROOT = Path(__file__).parents[2]


def png(size: tuple[int, int] = (64, 64)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def complain(job: ModuleType, capsys: pytest.CaptureFixture[str], **arguments: object) -> str:
    """Run the job and return the one line that it writes to standard error."""
    code = run_command(lambda: job.main(job.Arguments(**arguments)))
    written = capsys.readouterr().err
    assert code == EXIT_EXPECTED, written
    (line,) = [line for line in written.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in written
    return line


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not an image", "PNG"), (b"", "PNG"), (png()[:500], ""), (b"GIF89a" + bytes(50), "PNG")],
    ids=["text", "empty", "truncated", "gif"],
)
def test_what_is_no_photograph(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "me.png").write_bytes(content)
    line = complain(
        build_avatar, capsys, portrait=str(tmp_path / "me.png"), workspace=str(tmp_path / "w"), recipe="tiny"
    )
    assert says in line
    assert not (tmp_path / "w").exists(), "nothing is made for a photograph that cannot be used"


def test_a_photograph_that_is_not_there(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = complain(build_avatar, capsys, portrait=str(tmp_path / "nobody.jpg"), workspace=str(tmp_path / "w"))
    assert "nobody.jpg" in line


@pytest.mark.parametrize(
    "recipe",
    ["nope", "no_such_module:f", "json:dumps_nothing", ":", "..:x", ".:x", ":x", "json:", "json:loads", "sys:exit",
     "json:__name__", "x/y.py:z", "perse.recipes:Recipe"],
)  # fmt: skip
def test_unknown_recipes(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, recipe: str
) -> None:
    assert recipe in complain(build_avatar, capsys, recipe=recipe, workspace=str(tmp_path / "w"))


def test_workspaces_that_cannot_be_used(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    for name in ("~no_such_user/x", "\udc80x", "a\0b", ""):
        assert "--workspace" in complain(build_avatar, capsys, recipe="tiny", workspace=name) or name[0] == "~"
    for name, says in {
        "file": "a workspace is a folder",
        "file/in": "not a folder",
        "mine": "holds other files",
    }.items():
        assert says in complain(build_avatar, capsys, recipe="tiny", workspace=str(tmp_path / name))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"category,text\nhat,a\0b\n", "U+0000"),
        ("category,text\nhat,\u202eabc\n".encode(), "U+202E"),
        (b"category,text\nhat,\xed\xb2\x80\n", "UTF-8"),
        (b"category,text,seed\nhat,a red hat," + b"9" * 5000, "column 'seed'"),
        (b"category,text,seed\nhat,a red hat," + b"9" * 19, "2^63"),
        ("category,text,seed\nhat,a red hat,١٢".encode(), "2^63"),
        (b"category,text\nhat," + b"x" * 2001, "2001 characters"),
        (b"category,text\nhat," + b"x" * 200_000, "CSV"),
        (b"category,text\n" + b"\x1b[2Jhat" * 9 + b",x\n", "U+001B"),
    ],
)
def test_prompt_files_that_hold_traps(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "mine.csv").write_bytes(content)
    line = complain(build_avatar, capsys, recipe="tiny", workspace=str(tmp_path / "w"), prompts=tmp_path / "mine.csv")
    assert says in line and len(line) < 400


def test_a_workspace_that_another_run_holds(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with locked(Workspace.open(tmp_path / "w")):
        line = complain(build_avatar, capsys, recipe="tiny", workspace=str(tmp_path / "w"))
    assert "is held by" in line and socket.gethostname() in line and "--wait" in line


def test_a_prompt_file_with_a_bad_row(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("category,text\nhat,a red beanie\nwings,white wings\n")
    line = complain(build_avatar, capsys, recipe="tiny", workspace=str(tmp_path / "w"), prompts=tmp_path / "mine.csv")
    assert "wings" in line


def test_a_picture_without_a_face_keeps_the_workspace_clean(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "noise.png").write_bytes(png((300, 300)))
    line = complain(
        build_avatar, capsys, portrait=str(tmp_path / "noise.png"), workspace=str(tmp_path / "w"), recipe="tiny"
    )
    assert "face" in line
    assert not list((tmp_path / "w" / "manifests").iterdir())


def test_damaged_metadata_of_a_picture_is_nobodys_business(tmp_path: Path) -> None:
    """Pillow warns of EXIF that it cannot read; nothing of it is used but the orientation, which is read here."""
    beside = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0" + b"\xff" * 4 + bytes(8)
    Image.new("RGB", (300, 300)).save(tmp_path / "me.jpg", exif=beside)
    with pytest.warns(UserWarning, match="Tag data larger"):
        read_portrait(tmp_path / "me.jpg")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert run_command(lambda: print(read_portrait(tmp_path / "me.jpg").shape)) == 0
    assert told == []


def test_from_the_shell_too() -> None:
    """The exit code reaches the shell, and --help shows how."""
    job = str(ROOT / "jobs" / "build_avatar.py")
    done = subprocess.run([sys.executable, job, "--recipe", "nope"], capture_output=True, text=True, timeout=120)
    assert done.returncode == EXIT_EXPECTED and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "choose one of tiny, laptop" in done.stderr


def test_help_has_examples() -> None:
    job = str(ROOT / "jobs" / "build_avatar.py")
    done = subprocess.run([sys.executable, job, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "perse build" in done.stdout and "--prompts" in done.stdout
