"""Viewer on this machine: one process, no Ray, one avatar, which may still be in training."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from perse.data.workspace import Workspace
from perse.errors import InputError, PerseError
from perse_ray.serving.http.app import create_app
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.service import LocalAvatars
from perse_ray.serving.library.training_source import FollowedWorkspace
from perse_ray.serving.protection import Protection, Tokens
from perse_ray.serving.protection.receive_deadline import ReceiveDeadlineProtocol
from perse_ray.serving.schema.errors import Unavailable
from perse_ray.serving.schema.requests import AVATAR_ID
from perse_ray.serving.viewer.camera import live_tracker
from perse_ray.serving.viewer.socket import MAX_MOTION_BYTES

LOOPBACK = "127.0.0.1"
FOLLOW_S, FOLLOW_FAR_S = 2.0, 15.0
"""Between two looks for a newer checkpoint, on this machine and on an object store."""
MEMORY_MIB = 8192.0
DRAIN_S = 10
"""What is under way when the server is asked to stop has so long to finish."""

log = logging.getLogger(__name__)


def serve_viewer(workspace: Workspace, port: int, tokens: Tokens | None, say: Callable[[int], None]) -> None:
    """Serve until interrupted.

    Args:
        port: on the loopback interface; 0 takes any that is free.
        tokens: who may look; None lets anyone on this machine.
        say: is told the port, once there is something to look at.

    Raises:
        InputError: the port is taken.
    """
    place = FollowedWorkspace(workspace)
    listening = listen_on(port)
    wait_for_avatar(place)
    cache = AvatarCache({avatar_id(workspace): place}, memory_mib=MEMORY_MIB)
    every_s = FOLLOW_S if workspace.is_local else FOLLOW_FAR_S
    threading.Thread(target=follow, args=(cache, every_s), daemon=True).start()
    say(listening.getsockname()[1])
    viewer_server(viewer_app(cache, tokens)).run(sockets=[listening])


def viewer_server(app: FastAPI) -> uvicorn.Server:
    """Server for one machine: it waits for nobody without end, and what it has begun it finishes."""
    # Splats are noise to a compressor: it would take longer than the loopback interface does.
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=ReceiveDeadlineProtocol,
            log_level="warning",
            timeout_graceful_shutdown=DRAIN_S,
            ws_per_message_deflate=False,
            ws_max_size=MAX_MOTION_BYTES + 1,
        )
    )


def viewer_app(cache: AvatarCache, tokens: Tokens | None) -> FastAPI:
    """Application of the whole service over a cache of avatars, for the people at this machine."""
    return create_app(LocalAvatars(cache), Protection(tokens=tokens), live_tracker)


def avatar_id(workspace: Workspace) -> str:
    """Id of a workspace's avatar: its name where that can be an id."""
    name = workspace.location.rstrip("/").rpartition("/")[2]
    return name if AVATAR_ID.fullmatch(name) else "avatar"


def wait_for_avatar(place: FollowedWorkspace) -> None:
    """Wait until there is something to look at."""
    waiting = False
    while True:
        try:
            place.version()
            return
        except Unavailable as error:
            if not waiting:
                log.warning("%s; waiting for one", error)
                waiting = True
            time.sleep(FOLLOW_S)


def listen_on(port: int) -> socket.socket:
    """Socket on the loopback interface.

    Raises:
        InputError: the port is taken.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
    except OSError as error:
        raise InputError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from None
    return listening


def follow(cache: AvatarCache, every_s: float) -> None:
    """Look for newer versions of what is in memory, without end."""
    while True:
        time.sleep(every_s)
        try:
            cache.refresh()
        except PerseError as error:
            log.warning("the newest checkpoint cannot be followed: %s", error)
