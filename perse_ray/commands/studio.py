"""From a photograph to an avatar in the browser: one command, one address.

    perse studio                              prints an address with a token; open it
    perse studio --open                       opens it in the default browser
    perse studio --runs my-avatars --port 0   another folder, any free port

Drop a photograph on the page or take one, look at what was found in it, say who consents to what, choose looks, and
watch. Everything stays on this machine: it listens on the loopback interface and needs no network. A build goes on when
the page is closed, and when this command ends; start it again to go on watching. Builds made by `perse build` into the
same folder are there as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perse_ray.commands.command_line import parsed, run_command
from perse_ray.commands.local_page import LocalPage


@dataclass(frozen=True, kw_only=True)
class Arguments(LocalPage):
    """Arguments: where everything lies, and where the page is."""

    runs: Path = Path("runs")
    """Folder of the workspaces, one a photograph; made if there is none."""

    port: int = 8500
    """Port on the loopback interface; 0 takes any that is free."""


def main(arguments: Arguments) -> None:
    """Serve the studio until interrupted."""
    from perse_ray.studio.server import serve_studio

    tokens, say = arguments.entrance("studio")
    going_on = serve_studio(arguments.runs, arguments.port, tokens, say)
    for project in going_on:
        print(f"the build of {project.id} goes on (process {project.pid}); perse studio shows it again")


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("studio", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
