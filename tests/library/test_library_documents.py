"""What the documents show works as written: the README's lines of Python, and the notebook, cell by cell."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perse
from perse.data.images import encode_image

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run code as a notebook does; returns the value of the last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def shown(value: object) -> None:
    """What a notebook does with a cell's value."""
    picture = getattr(value, "_repr_png_", lambda: None)()
    assert picture is None or picture.startswith(b"\x89PNG")
    repr(value)


def test_the_readme_shows_what_works(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    block = next(text for text in blocks if text.startswith("import perse\n"))
    (tmp_path / "runs").symlink_to(runs / "runs")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for line in block.splitlines():
        shown(run_cell(line, names))
    assert (tmp_path / "me.ply").stat().st_size > 1000 and names["picture"].shape == (512, 512, 4)


PAGE = (ROOT / "docs" / "library.md").read_text()
LINES = [line for line in re.findall(r"`((?:avatar|frames|picture)\.\w+\([^`]*\))`", PAGE) if "motion.json" not in line]


def test_the_page_shows_what_works(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every call on the page but for a motion from a file."""
    assert len(LINES) >= 10
    (tmp_path / "runs").symlink_to(runs / "runs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "her.jpg").write_bytes(encode_image(np.full((64, 64, 3), 128, np.uint8), "jpeg"))
    avatar = perse.load("runs/me")
    names: dict[str, Any] = {
        "perse": perse,
        "avatar": avatar,
        "look": avatar.look(),
        "start": None,
        "end": "teal beanie",
    }
    names |= {"picture": avatar.render(size=32), "frames": avatar.interpolate(None, "teal beanie", steps=2)}
    for line in LINES:
        shown(run_cell(line.replace("…", "None"), names))
    assert {"me.png", "me.ply", "walk.mp4"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(
    path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notebook = json.loads(path.read_text())
    assert notebook["nbformat"] == 4
    (tmp_path / "runs").symlink_to(runs / "runs")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, "notebooks are kept without outputs"
            shown(run_cell("".join(cell["source"]), names))


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS
