"""Every command that a document or a docstring shows is one, and knows the options that it is shown with."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import tyro

from perse_ray.commands.main import COMMANDS

ROOT = Path(__file__).parents[1]
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "cluster/**/*.md", "cluster/**/*.yaml", "perse*/**/*.py", "client/**/*.py")
    for path in ROOT.glob(pattern)
)


def shown(text: str) -> list[str]:
    """Command lines of a text, without ``perse`` and without the explanation behind, set off by spaces or a #."""
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"(?<!`)`([^`\n]*)\n\s*([^`\n]*)`(?!`)", r"`\1 \2`", text)  # a command that is broken across lines
    found = re.findall(r"\bperse ([a-z][a-z-]*(?: (?! )[^`\n|>)]*)?)", text)
    return [re.split(r"\s{2,}|\s#", line.strip())[0].rstrip(".,;:") for line in found]


COMMANDS_SHOWN = sorted({line for path in TEXTS for line in shown(path.read_text()) if " --" in line})


class Parsed(Exception):
    """The words were understood, and nothing is to be done about them."""


@pytest.fixture
def only_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    cli, parse_args = tyro.cli, argparse.ArgumentParser.parse_args

    def asked(*given: Any, **named: Any) -> Any:
        cli(*given, **named)
        raise Parsed

    def plainly_asked(parser: argparse.ArgumentParser, words: Any = None) -> Any:
        parse_args(parser, words)
        raise Parsed

    monkeypatch.setattr(tyro, "cli", asked)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", plainly_asked)


def _words(line: str) -> list[str]:
    """As a shell splits it. A line of a program's own message ends with the quote of the program's text."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.replace('"', "").replace("'", "").split()


def unknown(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The command's name or the options that are none. Prose that follows a command is not looked at."""
    name, *words = _words(line)
    if name not in COMMANDS:
        return [name]
    try:
        importlib.import_module(f"perse_ray.commands.{COMMANDS[name].module}").run(words)
    except Parsed:
        return []
    except SystemExit:  # also where a text leaves a file or a number out
        _, _, said = "".join(capsys.readouterr()).partition("nrecognized")
        named = re.findall(r"--[a-z][\w-]*", said)  # with those that were perhaps meant
        return [word for word in words if word in named and word != "--help"]
    return ["it was run"]


@pytest.mark.usefixtures("only_parsed")
@pytest.mark.parametrize("line", COMMANDS_SHOWN)
def test_a_command_that_is_shown_knows_its_options(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert unknown(line, capsys) == []


@pytest.mark.usefixtures("only_parsed")
def test_a_wrong_word_or_option_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert unknown("build --workspaces runs/me and look", capsys) == ["--workspaces"]
    assert unknown("render turntable --range 180 --out a.mp4", capsys) == ["--range"]
    assert unknown("doctor --gpus 3", capsys) == ["--gpus"]
    assert unknown("biuld --workspace x", capsys) == ["biuld"]


def test_texts_are_read_as_people_read_them() -> None:
    inline = "`perse build\n--plan` and `perse serve --port 1`, perse on Ray\n"
    lines = "    perse view --open    look at it\nperse export --out a_#.ply  # frames"
    assert shown(inline + lines) == ["build --plan", "serve --port 1", "on Ray", "view --open", "export --out a_#.ply"]
