"""Serve avatars over HTTP.

    python jobs/serve.py --workspace runs/me
    curl -X POST localhost:8000/v1/avatars/me/render -H 'content-type: application/json' -d '{}' -o me.png

It listens on the loopback interface only: the service asks nobody who they are. Put an authenticating proxy in front
of it before choosing another --host.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass

import tyro

from perse_ray.command import run_command


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What to serve and where."""

    workspace: str = "runs/demo"
    """Workspaces with finished avatars, separated by commas; a workspace's name is its avatar's id."""

    host: str = "127.0.0.1"
    """Interface to listen on."""

    port: int = 8000
    """Port to listen on."""

    replicas: int = 1
    """Processes that render."""


def main(arguments: Arguments) -> None:
    """Check that the avatars are there, then serve until interrupted."""
    from pathlib import Path

    from perse_ray.serving.deployment import ServeArguments, find_avatars, serve_forever
    from perse_ray.session import ray_session

    places = [place.strip() for place in arguments.workspace.split(",") if place.strip()]
    absolute = [place if "://" in place else str(Path(place).expanduser().absolute()) for place in places]
    names = find_avatars(absolute)
    with ray_session():
        print(f"serving {', '.join(sorted(names))} on http://{arguments.host}:{arguments.port}", flush=True)
        settings = ServeArguments(workspaces=",".join(absolute), replicas=arguments.replicas)
        with suppress(KeyboardInterrupt):
            serve_forever(settings, arguments.host, arguments.port)


if __name__ == "__main__":
    chosen = tyro.cli(Arguments, description=__doc__)
    sys.exit(run_command(lambda: main(chosen)))
