"""Deployment of the application on Ray Serve: a thin ingress, and replicas that draw.

::

    clients ─► ingress      FastAPI; no avatar in memory; asks another replica when one dies
                 │  id, work, deadline
                 ▼
               renderer     avatars in memory, by id (multiplexed); pictures of one avatar that wait together are
                            drawn together

``serve run perse_ray.serving.ray_serve.deployment:application workspaces=runs/demo`` and the files in ``cluster/`` come
here. How many replicas, and how much each claims, is for the deploy config: under ``deployments``, by the names
``ingress`` and ``renderer``.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle

from perse_ray.runtime.serve_session import serve_session
from perse_ray.serving.http.app import create_app
from perse_ray.serving.library.sources import find_places
from perse_ray.serving.ray_serve.arguments import ServeArguments
from perse_ray.serving.ray_serve.remote_service import RemoteAvatars
from perse_ray.serving.ray_serve.renderer import DRAIN_S, Renderer

INGRESS = "ingress"

REQUEST_TIMEOUT_S = 90.0
"""Beyond our own deadlines, whose answers say more."""
MAX_OPEN = 1000
"""Requests and streams inside one ingress; it only passes them on."""


def application(arguments: ServeArguments | dict[str, Any]) -> Application:
    """The Serve application, for `serve run`, deploy configs (Serve does not parse their arguments) and `serve.run`."""
    arguments = ServeArguments.model_validate(arguments)
    claimed = {"num_cpus": arguments.num_cpus, "num_gpus": arguments.num_gpus}
    number = {} if arguments.replicas is None else {"num_replicas": arguments.replicas}
    renderer = Renderer.options(ray_actor_options=claimed, **number).bind(arguments)  # type: ignore[attr-defined]
    return Ingress.bind(sorted(find_places(arguments.places)), renderer, arguments)  # type: ignore[attr-defined,no-any-return]


@serve.deployment(
    name=INGRESS,
    max_ongoing_requests=MAX_OPEN,
    ray_actor_options={"num_cpus": 0.1},
    max_constructor_retry_count=2,
    graceful_shutdown_timeout_s=DRAIN_S,
    max_surge_percent=100,  # the new ones are there before the old ones go
)
@serve.ingress()
class Ingress:
    """Ingress with the HTTP application; its avatars are elsewhere."""

    def __init__(self, names: list[str], renderer: DeploymentHandle[Any], arguments: ServeArguments) -> None:
        self._avatars = RemoteAvatars(names, renderer)
        self._protection = arguments.protection()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._avatars, self._protection)


def serve_forever(arguments: ServeArguments, host: str, port: int) -> None:
    """Serve until interrupted; what was begun is finished then. Needs a running Ray.

    Raises:
        InputError: the cluster's Serve was begun without HTTP.
    """
    with serve_session(http={"host": host, "port": port, "request_timeout_s": REQUEST_TIMEOUT_S}):
        try:
            serve.run(application(arguments), name="perse", route_prefix="/", blocking=True)
        finally:
            serve.delete("perse")  # waits for what is under way; ending Serve would take the proxy away from it
