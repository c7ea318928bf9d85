"""Prompts that failed: which, why, and letting them be tried again.

    perse quarantine list --workspace runs/me
    perse quarantine show hat-0003 --workspace runs/me      with the traceback
    perse quarantine retry hat-0003 --workspace runs/me     the next `perse build` tries it again
    perse quarantine retry --workspace runs/me              all of them

A row is named as `list` names it, or by the beginning of its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from perse_ray.commands.command_line import OfWorkspace, parsed, run_command

KEY_SHOWN, ERROR_SHOWN = 12, 90
"""Characters in a list."""


@dataclass(frozen=True, kw_only=True)
class ListQuarantine(OfWorkspace):
    """A line for each."""


@dataclass(frozen=True, kw_only=True)
class Show(OfWorkspace):
    """Everything that is known about some of them."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Which; all by default."""


@dataclass(frozen=True, kw_only=True)
class Retry(OfWorkspace):
    """Let some of them be tried again by the next build."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Which; all by default."""

    wait: bool = False
    """Wait while a run holds the workspace, instead of refusing."""


Arguments = (
    Annotated[ListQuarantine, tyro.conf.subcommand("list")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Retry, tyro.conf.subcommand("retry")]
)


def main(arguments: ListQuarantine | Show | Retry) -> None:
    """Run one of the three."""
    from perse.data.workspace import Workspace
    from perse.data.workspace_lock import locked
    from perse_ray.build.quarantine import chosen, forget

    workspace = Workspace.existing(arguments.workspace)
    if isinstance(arguments, Retry):
        with locked(workspace, wait=arguments.wait):
            count = forget(workspace, chosen(workspace, arguments.names))
        print(f"{count} will be tried again by perse build" if count else "nothing is in quarantine")
        return
    rows = chosen(workspace, arguments.names if isinstance(arguments, Show) else ())
    for row in rows:
        if isinstance(arguments, ListQuarantine):
            print(f"{row.name:16} {row.key[:KEY_SHOWN]}  {row.stage:8} {row.attempts} × {row.error[:ERROR_SHOWN]}")
        else:
            print(f"{row.name}\nkey       {row.key}\nstage     {row.stage}\nattempts  {row.attempts}")
            print(f"error     {row.error}\n{row.traceback}")
    if not rows:
        print("nothing is in quarantine")


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("quarantine", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
