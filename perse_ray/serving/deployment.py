"""The application on Ray Serve: a thin shell that says how many, how much and how long.

``serve run perse_ray.serving.deployment:application workspaces=runs/demo`` and the files in ``cluster/`` come here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application, Deployment

from perse.data.workspace import Workspace
from perse.errors import InputError
from perse_ray.serving.app import create_app
from perse_ray.serving.loaded_avatar import FolderLibrary
from perse_ray.serving.requests import AVATAR_ID

REQUEST_TIMEOUT_S = 60.0
MAX_ONGOING = 8
"""Requests inside one replica; a render takes one thread at a time."""
MAX_QUEUED = 64
"""Requests that wait in the proxy; Serve's own default has no limit."""


class ServeArguments(BaseModel):
    """Arguments of the application, as a Serve config or `serve run` gives them."""

    model_config = ConfigDict(extra="forbid")

    workspaces: str
    """Comma-separated workspaces whose avatars are served."""
    replicas: int = 1
    num_cpus: float = 1.0
    num_gpus: float = 0.0


def application(arguments: ServeArguments) -> Application:
    """The Serve application."""
    places = [place.strip() for place in arguments.workspaces.split(",") if place.strip()]

    def build_asgi_app():  # type: ignore[no-untyped-def]  # Serve looks at the annotation's type
        return create_app(FolderLibrary(find_avatars(places)))

    deployment: Deployment = serve.deployment(  # type: ignore[assignment]
        serve.ingress(build_asgi_app)(),
        name="avatars",
        num_replicas=arguments.replicas,
        max_ongoing_requests=MAX_ONGOING,
        max_queued_requests=MAX_QUEUED,
        ray_actor_options={"num_cpus": arguments.num_cpus, "num_gpus": arguments.num_gpus},
        max_constructor_retry_count=2,
    )
    return deployment.bind()


def find_avatars(places: Sequence[str]) -> dict[str, Path]:
    """Avatar folders of workspaces by id; the id is the workspace's name. Remote ones are copied here.

    Raises:
        InputError: a workspace has no finished avatar, its name cannot be an id, or two have the same name.
    """
    found: dict[str, Path] = {}
    for place in places:
        workspace = Workspace.open(place) if "://" in place else _existing(Path(place))
        name = workspace.location.rstrip("/").rpartition("/")[2]
        if not workspace.has("avatar/avatar.json"):
            raise InputError(f"{place} holds no finished avatar; build one with jobs/build_avatar.py first")
        if not AVATAR_ID.fullmatch(name) or name in found:
            raise InputError(f"{name!r} cannot be an avatar's id (letters, digits, - and _) or is there twice")
        found[name] = workspace.path / "avatar" if workspace.is_local else _fetched(workspace)
    return found


def _existing(folder: Path) -> Workspace:
    """A local workspace to read from; nothing is made or written."""
    return Workspace(str(folder.expanduser().absolute()))


def _fetched(workspace: Workspace) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="perse-avatar-"))
    for name in workspace.names("avatar"):
        (folder / name).write_bytes(workspace.read(f"avatar/{name}"))
    return folder


def serve_forever(arguments: ServeArguments, host: str, port: int) -> None:
    """Serve until interrupted. Needs a running Ray.

    The default host is the loopback interface on purpose: the service asks nobody who they are.
    """
    serve.start(http_options={"host": host, "port": port, "request_timeout_s": REQUEST_TIMEOUT_S})
    serve.run(application(arguments), name="perse", route_prefix="/", blocking=True)
