"""A user study of two sets of pictures: make the page, and count the votes.

    perse study make --a ours=pictures/ours --b PEGASUS=pictures/pegasus --out study.html
    perse study tally votes-*.json

The pictures of the two folders are paired by name. The page is one file that opens by double click or from any web
server, on a telephone too; it shows the pairs in random order and on random sides, and saves a file of votes that the
voter sends back. The tally prints each side's share and its 95 % interval, for every question. Votes of one voter for
several pairs are not independent: with few voters the truth is less certain than the interval says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, run_command


@dataclass(frozen=True, kw_only=True)
class Make:
    """Write the page."""

    a: str
    """NAME=FOLDER of one side's pictures."""

    b: str
    """NAME=FOLDER of the other side's."""

    out: Path = Path("study.html")
    """The page."""

    question: tuple[str, ...] = ("Which picture looks more real?", "Which one is more like the same person?")
    """What is asked about every pair; several are asked one after another."""

    title: str = "Which one is better?"
    """Of the page."""


@dataclass(frozen=True)
class Tally:
    """Count votes."""

    votes: tyro.conf.Positional[tuple[Path, ...]]
    """Files that the page saved."""


Arguments = Annotated[Make, tyro.conf.subcommand("make")] | Annotated[Tally, tyro.conf.subcommand("tally")]


def make(arguments: Make) -> None:
    """Write the page."""
    from perse.data.durable_files import write_file_atomically
    from perse.report.study import Study, paired, study_page

    (a, folder_a), (b, folder_b) = _side(arguments.a, "--a"), _side(arguments.b, "--b")
    if a == b:
        raise InputError(f"both sides are called {a}; give them names that differ")
    if not arguments.question or not all(q.strip() for q in arguments.question):
        raise InputError("--question must not be empty")
    study = Study(arguments.title, arguments.question, a, b, paired(folder_a, folder_b))
    write_file_atomically(arguments.out, study_page(study))
    print(f"{arguments.out}: {len(study.pairs)} pairs, {len(study.questions)} questions each")


def count(arguments: Tally) -> None:
    """Print the shares."""
    from perse.report.study import tally

    if not arguments.votes:
        raise InputError("give the files of votes that the study's page saved")
    (a, b), shares = tally(arguments.votes)
    for share in shares:
        print(
            f"{share.question}\n  {a} {share.of_a:.1%} ({share.low:.1%}–{share.high:.1%}), {b} {1 - share.of_a:.1%}; "
            f"{share.votes} votes of {share.voters} voters"
        )


def _side(words: str, option: str) -> tuple[str, Path]:
    name, equals, folder = words.partition("=")
    if not (name.strip() and equals and folder):
        raise InputError(f"{option} must be NAME=FOLDER, got {words[:60]!r}")
    return name.strip(), Path(folder)


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("study", Arguments, __doc__, words)
    return run_command(lambda: make(arguments) if isinstance(arguments, Make) else count(arguments))
