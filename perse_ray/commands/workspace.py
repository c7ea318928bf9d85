"""Look after what a build left on disk.

    perse workspace check --workspace runs/me             what is missing, damaged or left over; changes nothing
    perse workspace check --workspace runs/me --verify    the same, reading every file
    perse workspace repair --workspace runs/me            remove that, so that the next `perse build` makes it again
    perse workspace size --workspace runs/me              where the bytes are

Exit code 1 of `check` means that something is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from perse_ray.commands.command_line import OfWorkspace, parsed, run_command

if TYPE_CHECKING:
    from perse.data.workspace import Workspace
    from perse_ray.build.products import Depth

EXIT_FOUND = 1


@dataclass(frozen=True, kw_only=True)
class CheckWorkspace(OfWorkspace):
    """Say what is missing, damaged or left over."""

    verify: bool = False
    """Read every file, also those that nobody seems to have touched."""


@dataclass(frozen=True, kw_only=True)
class Repair(OfWorkspace):
    """Remove what is damaged or left over; the next build makes it again."""

    verify: bool = False
    """Read every file, also those that nobody seems to have touched."""

    wait: bool = False
    """Wait while a run holds the workspace, instead of refusing."""


@dataclass(frozen=True, kw_only=True)
class Size(OfWorkspace):
    """Say where the bytes are."""


Arguments = (
    Annotated[CheckWorkspace, tyro.conf.subcommand("check")]
    | Annotated[Repair, tyro.conf.subcommand("repair")]
    | Annotated[Size, tyro.conf.subcommand("size")]
)


def main(arguments: CheckWorkspace | Repair | Size) -> int:
    """Run one of the three; returns the exit code."""
    from perse.data.workspace import Workspace

    workspace = Workspace.existing(arguments.workspace)
    if isinstance(arguments, CheckWorkspace):
        return _check(workspace, arguments)
    if isinstance(arguments, Repair):
        return _repair(arguments)
    return _size(workspace)


def _check(workspace: Workspace, arguments: CheckWorkspace) -> int:
    from perse.data.workspace_lock import holder
    from perse_ray.build.inspection import check

    if (busy := holder(workspace)) is not None:
        print(f"a run is under way, by {busy}: some of this may be its work")
    found = check(workspace, _depth(arguments.verify))
    for finding in found:
        print(finding)
    if found:
        print(f"{len(found)} found: perse workspace repair --workspace {arguments.workspace}")
        return EXIT_FOUND
    print(f"{workspace.location}: all is well")
    return 0


def _repair(arguments: Repair) -> int:
    from perse.data.workspace import Workspace
    from perse.data.workspace_lock import locked
    from perse_ray.build.inspection import repair

    workspace = Workspace.open(arguments.workspace)
    with locked(workspace, wait=arguments.wait):
        found = repair(workspace, _depth(arguments.verify))
    for finding in found:
        print(f"{finding}: removed")
    print("the next perse build makes it again" if found else f"{workspace.location}: all is well")
    return 0


def _size(workspace: Workspace) -> int:
    from perse_ray.build.inspection import sizes

    found = sizes(workspace)
    for folder, (files, size) in found.items():
        print(f"{folder:14} {files:7} files {_mib(size)}")
    print(f"{'all':14} {sum(f for f, _ in found.values()):7} files {_mib(sum(size for _, size in found.values()))}")
    return 0


def _mib(size: int) -> str:
    return f"{size / 2**20:12.2f} MiB"


def _depth(verify: bool) -> Depth:
    from perse_ray.build.products import Depth

    return Depth.ALL if verify else Depth.CHANGED


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("workspace", Arguments, __doc__, words)
    codes: list[int] = []
    return run_command(lambda: codes.append(main(arguments))) or codes[0]
