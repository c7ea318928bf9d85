"""Serve avatars over HTTP.

    perse serve --workspace runs/me
    PERSE_TOKENS=… perse serve --workspace runs/me,runs/you --port 9000
    curl -X POST localhost:8000/v1/avatars/me/render -H "authorization: Bearer $TOKEN" \\
         -H 'content-type: application/json' -d '{}' -o me.png

Whoever asks needs a token: one of $PERSE_TOKENS, of the file $PERSE_TOKENS_FILE, or of --token-file (one a line). On
the loopback interface, where there is none, a token is made up and printed, with the address that opens the viewer.
For other machines choose another --host, give tokens, and put a proxy that speaks HTTPS in front.
"""

from __future__ import annotations

import ipaddress
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, run_command

if TYPE_CHECKING:
    from perse_ray.serving.protection import Tokens


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments: what to serve and where."""

    workspace: str = "runs/demo"
    """Workspaces with finished avatars, and models by alias (models:/NAME@champion), separated by commas. A
    workspace's or model's name is its avatar's id; ID=PLACE gives another."""

    host: str = "127.0.0.1"
    """Interface to listen on."""

    port: int = 8000
    """Port to listen on."""

    replicas: int = 1
    """Processes that render."""

    token_file: Path | None = None
    """File with the tokens that are accepted, one a line."""

    insecure_no_auth: bool = False
    """Ask nobody for a token: any program and any person on this machine may see every avatar. Loopback hosts only."""


def main(arguments: Arguments) -> None:
    """Check that the avatars are there, then serve until interrupted."""
    from perse_ray.runtime.session import ray_session
    from perse_ray.serving.library.sources import absolute, find_places
    from perse_ray.serving.ray_serve.arguments import ServeArguments
    from perse_ray.serving.ray_serve.deployment import serve_forever
    from perse_ray.serving.ray_serve.proxy import guard_proxies

    tokens, made = accepted_tokens(arguments)
    places = absolute(arguments.workspace.split(","))
    names = find_places(places)
    settings = ServeArguments(
        workspaces=",".join(places),
        replicas=arguments.replicas,
        token_digests=sorted(tokens.digests),
        authentication="off" if arguments.insecure_no_auth else "tokens",
    )
    guard_proxies(arguments.replicas)
    with ray_session():
        address = f"http://{arguments.host}:{arguments.port}"
        print(f"serving {', '.join(sorted(names))} on {address}", flush=True)
        if made is not None:
            print(f"  token {made}\n  look  {address}/view?token={made}", flush=True)
        signal.signal(signal.SIGTERM, _interrupt)  # how systemd and containers ask to stop
        with suppress(KeyboardInterrupt):
            serve_forever(settings, arguments.host, arguments.port)


def accepted_tokens(arguments: Arguments) -> tuple[Tokens, str | None]:
    """Tokens that are accepted, and the one that was made up, if one was.

    Raises:
        InputError: the host is open to other machines, and there is no token; or a token cannot be used.
    """
    from perse_ray.serving.protection import Tokens, environment_tokens, new_token, read_tokens

    local = is_loopback(arguments.host)
    if arguments.insecure_no_auth:
        if not local:
            raise InputError(f"--insecure-no-auth is for loopback hosts; {arguments.host} is open to other machines")
        return Tokens(frozenset()), None
    tokens = environment_tokens()
    if arguments.token_file is not None:
        tokens |= read_tokens(arguments.token_file)
    if tokens:
        return tokens, None
    if not local:
        raise InputError(
            f"{arguments.host} is open to other machines: give tokens, in --token-file, PERSE_TOKENS or "
            "PERSE_TOKENS_FILE"
        )
    token = new_token()
    return Tokens.of([token]), token


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("serve", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
