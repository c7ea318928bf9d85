"""Remove everything that was made of a portrait, and look whether something is left.

    perse forget --identity eba02e97b3ed --runs runs

An identity is in `workspace.json`, and in the name of the registered model behind "perse-"; eight digits are enough.
The workspaces of that person below --runs are removed, with their models and runs in MLflow. Then caches, temporary
folders and everything beside the workspaces are searched for files of the person and for pieces of them.

Exit code 1: something is left; each file is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perse_ray.commands.command_line import parsed, run_command

EXIT_LEFT = 1


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments: whom to forget."""

    identity: str
    """The person's identity, or eight digits of it."""

    runs: Path = Path("runs")
    """Folder with the workspaces, or a workspace."""

    also: tuple[Path, ...] = ()
    """More folders to search for traces."""

    wait: bool = False
    """Wait while a run holds a workspace, instead of refusing."""


def main(arguments: Arguments) -> int:
    """Remove and search; returns the exit code."""
    from contextlib import ExitStack

    from perse.data.workspace_lock import locked
    from perse_ray.build.forget import forget, workspaces_of

    homes = workspaces_of(arguments.identity, arguments.runs)
    with ExitStack() as held:
        for home in homes:
            held.enter_context(locked(home, wait=arguments.wait))
        done = forget(homes, arguments.also)
    for name in done.workspaces:
        print(f"removed   {name}")
    print(f"          {done.files} files, {done.size / 2**20:.1f} MiB")
    print(f"MLflow    {', '.join(done.models) or 'no model'}, {done.runs} runs")
    for problem in done.problems:
        print(f"NOT DONE  {problem}")
    for path in done.left:
        print(f"LEFT      {path}")
    print(f"searched  {done.scanned} files: {len(done.left) or 'none'} hold something of this person")
    return EXIT_LEFT if done.left or done.problems else 0


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("forget", Arguments, __doc__, words)
    codes: list[int] = []
    return run_command(lambda: codes.append(main(arguments))) or codes[0]
