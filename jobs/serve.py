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
    """Workspaces with finished avatars, and models by alias (models:/NAME@champion), separated by commas. A
    workspace's or model's name is its avatar's id; ID=PLACE gives another."""

    host: str = "127.0.0.1"
    """Interface to listen on."""

    port: int = 8000
    """Port to listen on."""

    replicas: int = 1
    """Processes that render."""


def main(arguments: Arguments) -> None:
    """Check that the avatars are there, then serve until interrupted."""
    from perse_ray.serving.deployment import ServeArguments, serve_forever
    from perse_ray.serving.places import absolute, find_places
    from perse_ray.session import ray_session

    places = absolute(arguments.workspace.split(","))
    names = find_places(places)
    with ray_session():
        print(f"serving {', '.join(sorted(names))} on http://{arguments.host}:{arguments.port}", flush=True)
        settings = ServeArguments(workspaces=",".join(places), replicas=arguments.replicas)
        with suppress(KeyboardInterrupt):
            serve_forever(settings, arguments.host, arguments.port)


if __name__ == "__main__":
    chosen = tyro.cli(Arguments, description=__doc__)
    sys.exit(run_command(lambda: main(chosen)))
