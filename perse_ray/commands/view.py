"""Look at an avatar in a browser, live.

    perse view runs/me
    perse view --workspace runs/body                          a whole body
    perse view --workspace s3://bucket/me --port 8401 --open

Turn it with the mouse, move the sliders, play a motion, drop a motion file on the page. While the avatar is still being
trained the page follows the newest checkpoint and says which step it shows. It listens on the loopback interface and
needs no network; the address that is printed lets in whoever opens it (a token, one of $PERSE_TOKENS if that is set).
For other machines, there is the same page at /view of `perse serve`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, run_command, workspace_first
from perse_ray.commands.local_page import LocalPage

if TYPE_CHECKING:
    from perse.data.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Arguments(LocalPage):
    """Arguments: what to look at."""

    workspace: str = "runs/demo"
    """Workspace with an avatar, finished or in training; also s3://… or gs://…."""

    port: int = 8400
    """Port on the loopback interface; 0 takes any that is free."""


def main(arguments: Arguments) -> None:
    """Serve the viewer until interrupted."""
    from perse_ray.serving.local_viewer import serve_viewer

    tokens, say = arguments.entrance("view")
    serve_viewer(found(arguments.workspace), arguments.port, tokens, say)


def found(place: str) -> Workspace:
    """Workspace that is found, which may have hardly anything in it yet; nothing is made or written.

    Raises:
        InputError: there is no such folder.
    """
    from perse.data.workspace import Workspace

    if "://" in place:
        return Workspace(place)
    folder = Path(place).expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"there is no workspace {place}; `perse build` makes one")
    return Workspace(str(folder))


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("view", Arguments, __doc__, workspace_first(words))
    return run_command(lambda: main(arguments))
