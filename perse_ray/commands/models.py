"""Weights of the production backends: list them, check them, fetch them.

    perse models list [--recipe paper] [--commercial-safe]
    perse models check [NAME ...] [--recipe paper] [--deep]
    perse models fetch NAME ... | --recipe paper
    perse models convert weights.pt ...              a pickle's tensors, as safetensors beside it
    perse models convert generic_model.pkl           the same for FLAME's own head model

They lie in $PERSE_WEIGHTS (default ~/.cache/perse/weights), one folder a name. Only `fetch` uses the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from perse_ray.commands.command_line import parsed, run_command


@dataclass(frozen=True, kw_only=True)
class ListModels:
    """Print the table."""

    recipe: str = ""
    """Only what this recipe needs."""
    commercial_safe: bool = False
    """Fail if any of them forbids commercial use, and say what to use instead."""


@dataclass(frozen=True, kw_only=True)
class CheckModels:
    """Say whether weights are complete, and still what was fetched."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Rows of the table; all by default."""
    recipe: str = ""
    """Only what this recipe needs."""
    commercial_safe: bool = False
    """Fail if any of them forbids commercial use."""
    deep: bool = False
    """Read every file again for its sha256; otherwise files whose size and time have not changed are not."""


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Download weights into the store."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Rows of the table."""
    recipe: str = ""
    """What this recipe needs."""
    commercial_safe: bool = False
    """Refuse what forbids commercial use before anything is downloaded."""


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Read the tensors of pickled checkpoints, and nothing else, and write them as safetensors."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """.pt, .pth, .bin or .ckpt checkpoints, or FLAME's .pkl; what holds code is refused."""


Command = (
    Annotated[ListModels, tyro.conf.subcommand("list")]
    | Annotated[CheckModels, tyro.conf.subcommand("check")]
    | Annotated[Fetch, tyro.conf.subcommand("fetch")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
)


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    command = parsed("models", Command, __doc__, words)

    def work() -> None:
        from perse_ray.commands.models_report import perform

        perform(command)

    return run_command(work)
