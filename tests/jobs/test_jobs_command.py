"""The command ``perse``: it lists its words, finds their modules, and imports nothing for help."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from perse_ray.commands.command_line import HELP_COLUMNS, folded
from perse_ray.commands.main import COMMANDS, EXIT_UNREAD, main

ROOT = Path(__file__).parents[2]


def test_every_word_is_listed_and_has_a_module_with_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    listed = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"\n  {name} " in listed and command.summary in listed
        spec = importlib.util.find_spec(f"perse_ray.commands.{command.module}")
        assert spec is not None and spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text())
        assert any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body)


def test_help_imports_nothing_that_takes_time() -> None:
    code = (
        "import sys; from perse_ray.commands.main import main; main(['--help'])\n"
        "sys.exit(len({'numpy', 'torch', 'ray', 'tyro', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True).returncode == 0


SLOW = (
    "cv2",
    "fastapi",
    "matplotlib",
    "mediapipe",
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "ray",
    "scipy",
    "torch",
)
"""Packages whose import alone takes longer than help may: 0.5 s of processor time with all that Python does itself."""


@pytest.mark.parametrize("name", [name for name in COMMANDS])
def test_help_of_a_word_imports_nothing_that_takes_time(name: str) -> None:
    code = (
        "import atexit, os, sys\n"
        f"atexit.register(lambda: os._exit(7) if {set(SLOW)!r} & set(sys.modules) else None)\n"
        f"from perse_ray.commands.main import main; main([{name!r}, '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"perse {name}" in done.stdout


def test_a_plan_needs_no_ray_and_no_mlflow() -> None:
    code = (
        "import sys; from perse_ray.commands.main import main; main(['build', '--recipe', 'tiny', '--plan'])\n"
        "sys.exit(len({'ray', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "hours are estimates" in done.stdout


def test_an_unknown_word_and_a_missing_extra_are_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["fly"]) == 2
    assert "no command 'fly'; there are studio, build, build-many" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed

    def without(words: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'ray'", name="ray")

    monkeypatch.setattr("perse_ray.commands.serve.run", without)
    assert main(["serve"]) == 2
    assert "needs the package ray, which is not installed: pip install 'perse[serve]'" in capsys.readouterr().err


def test_every_word_has_a_job_file_of_its_name() -> None:
    files = {path.stem for path in (ROOT / "jobs").glob("*.py")}
    assert files >= {"doctor" if c.module == "doctor_report" else c.module for c in COMMANDS.values()}
    done = subprocess.run(
        [sys.executable, "jobs/verify.py", "--help"], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "perse verify" in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["build-body", "--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(words: list[str]) -> None:
    """``perse build --help | head``: whoever reads the pipe goes away before everything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "perse_ray.commands.main", *words],
            cwd=ROOT,
            check=False,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(writing)
    assert ended.stderr == "" and ended.returncode == EXIT_UNREAD


def test_help_breaks_its_paragraphs_and_leaves_examples_alone(capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "What it does.\n\n    perse it --a 1     # a remark that makes the line longer than anything\n\n"
        + 12 * "words "
    )
    broken = folded(text, 30).splitlines()
    assert "    perse it --a 1     # a remark that makes the line longer than anything" in broken
    assert all(len(line) <= 30 for line in broken if not line.startswith(" ")) and " ".join(broken).count("words") == 12
    with pytest.raises(SystemExit) as ended:
        main(["track", "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and shown.index("perse track --video me.mp4") < shown.index("usage: perse track")
    prose = [line for line in shown[: shown.index("usage:")].splitlines() if not line.startswith(" ")]
    assert max(map(len, prose)) <= HELP_COLUMNS
