"""Changed code has another version; remarks and formatting have not. Files are read once and known by their content."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perse.data import code_version as versions
from perse.data import file_digests
from perse.data.code_version import code_version
from perse.data.file_digests import file_digest

FILES = {
    "__init__.py": "",
    "editor.py": '"""An editor."""\nfrom .brushes import stroke\nfrom studio_under_test import colors\n\ndef edit(x):\n'
    '    """Edits."""\n    from studio_under_test.late import polish\n\n    return polish(stroke(x) + colors.RED)\n\n'
    'TABLE = "table.csv"\nPOSES = "data/poses.npz"\n',
    "brushes/__init__.py": "from studio_under_test.brushes.round import stroke\n",
    "brushes/round.py": "def stroke(x):\n    return 2 * x\n",
    "colors.py": "RED = 3\n",
    "late.py": "import numpy\n\ndef polish(x):\n    return x\n",
    "unrelated.py": "NOTHING = 0\n",
    "table.csv": "a,b\n",
    "data/poses.npz": "poses",
    "prompts.csv": "category,text\n",
    "results.json": "{}",
}

Studio = Callable[[dict[str, str]], str]


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """Changes some files of a small package and returns the version of its editor."""
    folder = tmp_path / "studio_under_test"

    def version(changes: dict[str, str]) -> str:
        for name, content in {**FILES, **changes}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        for cached in (versions.code_version, versions._source, versions._file_of):
            cached.cache_clear()
        importlib.import_module("studio_under_test")
        return code_version("studio_under_test.editor")

    monkeypatch.syspath_prepend(tmp_path)
    yield version
    sys.modules.pop("studio_under_test", None)
    for cached in (versions.code_version, versions._source, versions._file_of):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("editor.py", FILES["editor.py"].replace("+", "-")),
        ("brushes/round.py", "def stroke(x):\n    return 3 * x\n"),
        ("brushes/__init__.py", "from studio_under_test.brushes.round import stroke\nEXTRA = 1\n"),
        ("colors.py", "RED = 4\n"),
        ("late.py", "import numpy\n\ndef polish(x):\n    return -x\n"),
        ("table.csv", "a,c\n"),
        ("data/poses.npz", "other poses"),
    ],
)
def test_code_that_is_reached_counts(studio: Studio, name: str, content: str) -> None:
    assert studio({}) != studio({name: content})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("unrelated.py", "NOTHING = 1\n"),
        ("prompts.csv", "category,text\nhat,red\n"),
        ("results.json", '{"psnr": 1}'),
        ("added.csv", "anything"),
        ("colors.py", "# the colour of blood\nRED   =   3\n'''A colour.'''\n"),
        (
            "brushes/round.py",
            '"""Round."""\n\n\ndef stroke(x):\n    """Twice."""\n    return (\n        2 * x\n    )\n',
        ),
    ],
)
def test_remarks_formatting_and_other_code_do_not(studio: Studio, name: str, content: str) -> None:
    assert studio({}) == studio({name: content})


def test_the_procedural_editor_is_all_that_it_paints_and_attaches_with() -> None:
    reached = versions._reached("perse.synthesis.procedural.editing.editor")
    for name in ("editing.beard", "editing.worn", "attachments.hair_curtain", "scene.shadows"):
        assert f"perse.synthesis.procedural.{name}" in reached
    assert "perse.synthesis.prompts.vocabulary" in reached
    assert "perse.tracking.landmarks" in reached
    assert not any(name.startswith(("perse.data", "perse.render", "perse.synthesis.production")) for name in reached)
    diffusion = versions._reached("perse.synthesis.production.diffusion_editor")
    assert not any(name.startswith("perse.synthesis.procedural") for name in diffusion)


def test_what_was_typed_into_a_console_has_no_version() -> None:
    assert code_version("nobody.knows") == ""


def test_a_large_file_is_read_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_digests, "REMEMBERED_BYTES", 0)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"one")
    reads: list[str] = []
    original = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda stream, name: reads.append(name) or original(stream, name))
    assert file_digest(file) == file_digest(file) == hashlib.sha256(b"one").hexdigest()
    assert len(reads) == 1
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert file_digest(file) == hashlib.sha256(b"two").hexdigest()
    state = file.stat()
    file.write_bytes(b"TWO")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # same size and time: only reading it tells
    assert file_digest(file) == hashlib.sha256(b"two").hexdigest()
    assert file_digest(file, again=True) == file_digest(file) == hashlib.sha256(b"TWO").hexdigest()


def test_a_small_file_is_always_read_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "small"
    for content in (b"one", b"two"):
        file.write_bytes(content)
        os.utime(file, ns=(1, 1))
        assert file_digest(file) == hashlib.sha256(content).hexdigest()
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    monkeypatch.setenv("PERSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_digests, "REMEMBERED_BYTES", 0)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    assert file_digest(file) == hashlib.sha256(b"x").hexdigest()
