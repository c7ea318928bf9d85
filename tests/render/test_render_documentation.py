"""The example of docs/rasterizer.md, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "rasterizer.md"


def test_the_example_fits_the_picture(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {})
    error = float(capsys.readouterr().out.split()[-1])
    assert error < 0.1  # a black picture is 0.5 away from the target
