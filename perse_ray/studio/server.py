"""Server of the studio on this machine: one process with the page, the viewer and the render service; builds are
others."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI

from perse.data.workspace import Workspace
from perse.data.workspace_lock import HeldError, locked
from perse.errors import InputError
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.local_viewer import FOLLOW_S, MEMORY_MIB, follow, listen_on, viewer_app, viewer_server
from perse_ray.serving.protection import Tokens
from perse_ray.studio.processes import LocalBuilder
from perse_ray.studio.project import Project
from perse_ray.studio.routes import add_studio
from perse_ray.studio.studio import Studio

LOCK = ".studio"
"""Folder beside the workspaces that says which process looks after them."""

log = logging.getLogger(__name__)


def serve_studio(runs: Path, port: int, tokens: Tokens | None, say: Callable[[int], None]) -> list[Project]:
    """Serve until interrupted; returns the builds that go on by themselves.

    Args:
        runs: folder of the workspaces, made if there is none.
        port: on the loopback interface; 0 takes any that is free.
        tokens: who may come in; None lets anyone on this machine.
        say: is told the port, once the page can be opened.

    Raises:
        InputError: the port is taken, the folder cannot be used, or another studio looks after it.
    """
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {runs} cannot be made ({error.strerror}); choose another with --runs") from None
    listening = listen_on(port)
    try:
        with locked(Workspace(str(runs.absolute() / LOCK))):
            return _serve(runs, listening, tokens, say)
    except HeldError as held:
        raise InputError(
            f"another studio looks after {runs} ({held.claim}); stop it, or choose another folder with --runs. If that "
            f"process is gone, the folder is free in {held.left_s} s"
        ) from None


def studio_app(studio: Studio, cache: AvatarCache, tokens: Tokens | None) -> FastAPI:
    """Application over the avatars of a studio, with the studio's own routes."""
    app = viewer_app(cache, tokens)
    add_studio(app, studio)
    return app


def _serve(runs: Path, listening: socket.socket, tokens: Tokens | None, say: Callable[[int], None]) -> list[Project]:
    studio = Studio(runs, LocalBuilder())
    cache = AvatarCache(studio.places, memory_mib=MEMORY_MIB)
    threading.Thread(target=follow, args=(cache, FOLLOW_S), daemon=True).start()
    say(listening.getsockname()[1])
    try:
        viewer_server(studio_app(studio, cache, tokens)).run(sockets=[listening])
    finally:
        going_on = studio.close()
    return going_on
