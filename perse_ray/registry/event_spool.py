"""Spool of MLflow's events, kept in the workspace until MLflow can be told: one file an event in ``tracking/``."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from perse.data.workspace import Workspace
from perse.errors import WorkspaceError

FOLDER = "tracking"
WAITING = "waiting-"
"""A run that could not be made yet has an id that begins so."""

Event = dict[str, Any]
"""``run`` and ``kind`` (create, params, metrics, artifact, end, register), and what belongs to it."""


def waiting_run() -> str:
    """Id for a run that MLflow does not know yet."""
    return f"{WAITING}{secrets.token_hex(8)}"


def keep(workspace: Workspace, event: Event) -> None:
    """Write an event down. Where even that fails there is nowhere to tell it, and the build goes on."""
    name = f"{FOLDER}/{time.time_ns():020d}-{secrets.token_hex(3)}.json"
    try:
        workspace.write(name, json.dumps(event).encode())
    except WorkspaceError:
        return


def kept(workspace: Workspace) -> Iterator[tuple[str, Event]]:
    """Events in their order, with the name of their file."""
    for name in workspace.names(FOLDER, ".json"):
        path = f"{FOLDER}/{name}.json"
        try:
            event = json.loads(workspace.read(path))
        except (WorkspaceError, ValueError):
            continue
        if isinstance(event, dict) and isinstance(event.get("run"), str):
            yield path, event
