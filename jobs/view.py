"""Look at an avatar in a browser, live.

    python jobs/view.py --workspace runs/me
    python jobs/view.py --workspace s3://bucket/me --port 8401 --open

Turn it with the mouse, move the sliders, play a motion, drop a motion file on the page. While the avatar is still being
trained the page follows the newest checkpoint and says which step it shows. It listens on the loopback interface and
needs no network; for others, there is the same page at /view of jobs/serve.py.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import tyro

from perse_ray.command import run_command


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What to look at."""

    workspace: str = "runs/demo"
    """Workspace with an avatar, finished or in training; also s3://… or gs://…."""

    port: int = 8400
    """Port on the loopback interface; 0 takes any that is free."""

    open: bool = False
    """Open the page in the default browser."""


def main(arguments: Arguments) -> None:
    """Serve the viewer until interrupted."""
    import webbrowser
    from pathlib import Path

    from perse.data.workspace import Workspace
    from perse.errors import InputError
    from perse_ray.serving.view_server import serve_viewer

    place = arguments.workspace
    if "://" not in place:
        folder = Path(place).expanduser().absolute()
        if not folder.is_dir():
            raise InputError(f"there is no workspace {place}; jobs/build_avatar.py makes one")
        place = str(folder)

    def say(text: str) -> None:
        print(text, flush=True)
        if arguments.open and text.startswith("http"):
            webbrowser.open(text)

    serve_viewer(Workspace(place), arguments.port, say)


if __name__ == "__main__":
    chosen = tyro.cli(Arguments, description=__doc__)
    sys.exit(run_command(lambda: main(chosen)))
