"""Caches and temporary folders where there is no home, and where somebody else was first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perse import private_folders
from perse.private_folders import KERNEL_CACHE, at_home, cache_folder, keep_kernels_somewhere, private_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PERSE_CACHE", KERNEL_CACHE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(private_folders.tempfile, "gettempdir", lambda: str(tmp_path))


def test_a_private_folder_is_ours_alone(tmp_path: Path) -> None:
    folder = private_folder("x", [str(tmp_path / "absent"), str(tmp_path)])
    assert folder == tmp_path / f"x-{os.getuid()}" and folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)
    assert private_folder("x", [str(tmp_path)]).stat().st_mode & 0o077 == 0


def test_a_link_that_somebody_left_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / f"x-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(OSError, match="no place"):
        private_folder("x", [str(tmp_path)])


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/x"])
def test_without_a_home_caches_are_temporary(home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", home)
    assert at_home(".cache") is None
    assert cache_folder() == tmp_path / f"perse-cache-{os.getuid()}"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "perse"
    monkeypatch.setenv("PERSE_CACHE", "/given")
    assert cache_folder() == Path("/given")


def test_kernels_are_kept_where_there_is_a_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(private_folders.os, "access", lambda path, mode: "perse-kernels" in str(path))
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr(private_folders.sys, "modules", {})
    keep_kernels_somewhere(tmp_path)
    assert os.environ[KERNEL_CACHE] == str(tmp_path / f"perse-kernels-{os.getuid()}")
    monkeypatch.setenv(KERNEL_CACHE, "mine")
    keep_kernels_somewhere(tmp_path)
    assert os.environ[KERNEL_CACHE] == "mine"


def test_kernels_stay_beside_a_package_that_can_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keep_kernels_somewhere(tmp_path)
    assert KERNEL_CACHE not in os.environ


def test_nobody_without_a_line_in_the_table_of_users_is_a_user_too(tmp_path: Path) -> None:
    """Containers run as numbers that no table knows."""
    code = "import pathlib\nfrom unittest import mock\nfrom perse.private_folders import at_home\n"
    code += "with mock.patch.object(pathlib.Path, 'home', side_effect=RuntimeError):\n    print(at_home('.cache'))"
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "None"
