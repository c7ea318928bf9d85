"""`perse study`: its page, its tally, its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perse_ray.commands.study import run


def test_a_page_and_a_tally(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / side / "one.png")
    page = tmp_path / "study.html"
    assert run(["make", "--a", f"x={tmp_path / 'a'}", "--b", f"y={tmp_path / 'b'}", "--out", str(page)]) == 0
    assert "1 pairs, 2 questions each" in capsys.readouterr().out
    vote = {"question": "Real?", "item": "one", "chosen": "x", "side": "left"}
    content = {"format": "perse-votes", "study": "s", "voter": "v", "votes": [vote]}
    (tmp_path / "v.json").write_text(json.dumps(content))
    assert run(["tally", str(tmp_path / "v.json")]) == 0
    assert "x 100.0% (20.7%–100.0%), the other 0.0%; 1 votes of 1 voters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["make", "--a", "x", "--b", "y=b"], "--a must be NAME=FOLDER"),
        (["make", "--a", "x=nowhere", "--b", "x=b"], "both sides are called x"),
        (["make", "--a", "x=nowhere", "--b", "y=b"], "there is no folder nowhere"),
        (["tally", "nothing.json"], "nothing.json holds no votes"),
    ],
)
def test_refusals(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    written = capsys.readouterr().err
    assert said in written and written.count("\n") == 1
