"""Studio on Ray Serve: the same page and routes, behind the same tokens; builds run where the cluster has room.

::

    people ─► studio        one replica: projects, a first look, the viewer's renders
                 │  words
                 ▼
              builds        a detached actor each, with `perse build` as a driver of this cluster

``serve run perse_ray.studio.ray_serve:application runs=/mnt/avatars`` and ``cluster/studio.yaml`` come here. The folder
of the workspaces is one that all nodes see under the same path. One replica looks after it: what the studio knows
lies in that folder, so another replica that takes its place, on whatever node, goes on with it. A camera drives avatars
on one's own machine only (`perse_ray.serving.viewer.camera`).
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import Field, field_validator
from ray import serve
from ray.serve import Application

from perse.data.workspace import Workspace
from perse.data.workspace_lock import locked
from perse.errors import InputError
from perse_ray.serving.http.app import create_app
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.service import LocalAvatars
from perse_ray.serving.local_viewer import FOLLOW_S, follow
from perse_ray.serving.ray_serve.arguments import Entrance
from perse_ray.serving.ray_serve.deployment import MAX_OPEN
from perse_ray.serving.ray_serve.renderer import DRAIN_S
from perse_ray.studio.ray_builder import RayBuilder
from perse_ray.studio.routes import add_studio
from perse_ray.studio.server import LOCK
from perse_ray.studio.studio import Studio

STUDIO = "studio"

log = logging.getLogger(__name__)


class StudioArguments(Entrance):
    """Arguments of the application, as a Serve config or `serve run` gives them."""

    runs: str
    """Folder of the workspaces, one a photograph: an absolute path that all nodes share."""
    num_cpus: float = Field(default=1.0, gt=0)
    """Of the studio, for first looks and the viewer."""
    build_cpus: float = Field(default=1.0, gt=0)
    """Of a build's own process; its stages claim their own."""
    memory_mib: float = Field(default=4096.0, gt=0)
    """Of the studio, for avatars that are looked at."""

    @field_validator("runs")
    @classmethod
    def _shared(cls, runs: str) -> str:
        if not Path(runs).is_absolute():
            raise ValueError(f"runs is an absolute path that all nodes share (NFS, for example), got {runs!r}")
        return runs


def application(arguments: StudioArguments | dict[str, Any]) -> Application:
    """Application for `serve run`, deploy configs and `serve.run`."""
    arguments = StudioArguments.model_validate(arguments)
    claimed = {"num_cpus": arguments.num_cpus}
    return StudioReplica.options(ray_actor_options=claimed).bind(arguments)  # type: ignore[attr-defined,no-any-return]


@serve.deployment(
    name=STUDIO,
    num_replicas=1,
    max_ongoing_requests=MAX_OPEN,
    max_constructor_retry_count=2,
    graceful_shutdown_timeout_s=DRAIN_S,
)
@serve.ingress()
class StudioReplica:
    """Replica with the studio of a folder. One that still holds the folder, or died a moment ago on another node, is
    waited for."""

    def __init__(self, arguments: StudioArguments) -> None:
        protection = arguments.protection()
        runs = Path(arguments.runs)
        try:
            runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the folder {runs} cannot be made ({error.strerror}); choose another as runs") from None
        self._held = ExitStack()
        self._held.enter_context(locked(Workspace(str(runs / LOCK)), wait=True))
        self._studio = Studio(runs, RayBuilder(arguments.build_cpus))
        self._held.callback(self._studio.close)
        cache = AvatarCache(self._studio.places, memory_mib=arguments.memory_mib)
        threading.Thread(target=follow, args=(cache, FOLLOW_S), daemon=True).start()
        self._app = create_app(LocalAvatars(cache), protection)
        add_studio(self._app, self._studio)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return self._app

    def __del__(self) -> None:
        if hasattr(self, "_held"):
            self._held.close()
