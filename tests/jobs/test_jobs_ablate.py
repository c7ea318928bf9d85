"""`perse ablate`: refusals in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from perse.data.workspace import Workspace
from perse_ray.commands.ablate import run


@pytest.mark.parametrize(
    ("words", "said"), [([], "error: "), (["--steps", "0"], "--steps and --workers must be 1 or more")]
)
def test_refusals(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--workspace", str(tmp_path / "none"), *words]) == 2
    written = capsys.readouterr().err
    assert said in written and written.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_a_workspace_without_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Workspace.open(str(tmp_path / "w")).claim("somebody")
    assert run(["--workspace", str(tmp_path / "w")]) == 2
    assert "has no finished clips; build an avatar there first" in capsys.readouterr().err
