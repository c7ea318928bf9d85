"""The application on Ray Serve: a thin ingress, and replicas that draw.

::

    clients ─► ingress      FastAPI; no avatar in memory; asks another replica when one dies
                 │  id, work, deadline
                 ▼
               renderer     avatars in memory, by id (multiplexed); pictures of one avatar that wait together are
                            drawn together

``serve run perse_ray.serving.deployment:application workspaces=runs/demo`` and the files in ``cluster/`` come here.
How many replicas, and how much each claims, is for the deploy config: under ``deployments``, by the names
`INGRESS` and `RENDERER`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.exceptions import RayActorError, RayTaskError
from ray.serve import Application
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from perse.errors import PerseError
from perse_ray.serving.app import create_app
from perse_ray.serving.deadline import current_deadline, remaining_s
from perse_ray.serving.encoders import Encoders
from perse_ray.serving.errors import DeadlineExceeded, NoSuchAvatar, Unavailable
from perse_ray.serving.loaded_avatar import LoadedAvatar
from perse_ray.serving.places import find_places
from perse_ray.serving.protection import Protection, Tokens, environment_tokens
from perse_ray.serving.protection.admission import environment_lanes
from perse_ray.serving.requests import AvatarInfo, RenderRequest
from perse_ray.serving.shelf import Shelf
from perse_ray.serving.work import Frames, Work

log = logging.getLogger(__name__)

Result = TypeVar("Result")

INGRESS, RENDERER = "ingress", "renderer"

REQUEST_TIMEOUT_S = 60.0
MAX_BATCH = 8
"""Pictures in one call of the rasterizer: more would keep the first waiting for the last."""
MAX_ONGOING = 2 * MAX_BATCH
"""Requests inside one renderer: one batch is drawn, another gathers."""
MAX_QUEUED = 64
"""Requests that wait in the ingress for a renderer; Serve's own default has no limit."""
MAX_OPEN = 1000
"""Requests and streams inside one ingress; it only passes them on."""
MAX_AFFINITY = 1000
"""Avatars for which a renderer is remembered to be a good choice. Its memory is bounded in MiB, by the shelf."""
ATTEMPTS = 3
"""A renderer that dies costs one more attempt; the second may meet the same one before everybody knows."""
DRAIN_S = 30.0
"""A renderer that has to go finishes what it has begun."""


class ServeArguments(BaseModel):
    """Arguments of the application, as a Serve config or `serve run` gives them."""

    model_config = ConfigDict(extra="forbid")

    workspaces: str
    """Comma-separated workspaces whose avatars are served, and models by alias (``models:/NAME@champion``)."""
    replicas: int | None = Field(default=None, ge=1)
    """Renderers; None leaves it to the deploy config, with its ``num_replicas`` or ``autoscaling_config``."""
    num_cpus: float = Field(default=1.0, gt=0)
    """Of one renderer; it draws with so many threads."""
    num_gpus: float = Field(default=0.0, ge=0)
    memory_mib: float = Field(default=2048.0, gt=0)
    """Of one renderer, for avatars: 15,000 Gaussians take about 100 MiB with their cache."""
    refresh_s: float = Field(default=10.0, gt=0)
    """How often a renderer looks for new versions of what it has in memory."""

    clip: str = ""
    """CLIP's weights, for descriptions of attributes of avatars that were trained with it."""

    token_digests: list[str] = Field(default_factory=list)
    """SHA-256 of tokens that are accepted, besides those in the ingress's own environment (``PERSE_TOKENS``,
    ``PERSE_TOKENS_FILE``): tokens themselves never enter a deploy config."""
    authentication: Literal["tokens", "off"] = "tokens"
    """``off`` answers programs on the ingress's own machine, and nobody else."""
    per_second: float = Field(default=100.0, gt=0)
    """Requests that one token may make of one ingress in the long run."""
    burst: int = Field(default=200, ge=1)
    """Requests that one token may make of one ingress at once."""

    @property
    def places(self) -> list[str]:
        return [place.strip() for place in self.workspaces.split(",") if place.strip()]

    def protection(self) -> Protection:
        """What stands before an ingress, to be asked for where its environment is.

        Raises:
            InputError: there is no token.
        """
        known = Tokens(frozenset(self.token_digests)) | environment_tokens()
        return Protection(
            tokens=known if self.authentication == "tokens" else None,
            per_second=self.per_second,
            burst=self.burst,
            lanes=environment_lanes(),
        )


def application(arguments: ServeArguments | dict[str, Any]) -> Application:
    """The Serve application, for `serve run`, deploy configs (Serve does not parse their arguments) and `serve.run`."""
    arguments = ServeArguments.model_validate(arguments)
    claimed = {"num_cpus": arguments.num_cpus, "num_gpus": arguments.num_gpus}
    number = {} if arguments.replicas is None else {"num_replicas": arguments.replicas}
    renderer = Renderer.options(ray_actor_options=claimed, **number).bind(arguments)  # type: ignore[attr-defined]
    return Ingress.bind(sorted(find_places(arguments.places)), renderer, arguments)  # type: ignore[attr-defined,no-any-return]


@serve.deployment(
    name=RENDERER,
    max_ongoing_requests=MAX_ONGOING,
    max_queued_requests=MAX_QUEUED,
    max_constructor_retry_count=2,
    graceful_shutdown_timeout_s=DRAIN_S,
    max_surge_percent=100,  # the new ones are there before the old ones go
    health_check_period_s=2,
)
class Renderer:
    """Avatars in memory, on one replica."""

    async def __init__(self, arguments: ServeArguments) -> None:  # type: ignore[misc]  # Serve awaits it
        places = await asyncio.to_thread(find_places, arguments.places)
        encoders = Encoders(Path(arguments.clip) if arguments.clip else None)
        self._shelf = Shelf(places, memory_mib=arguments.memory_mib, encoders=encoders)
        self._stopped = threading.Event()
        # A replica takes part when this returns: whoever meets it first does not wait for kernels and tensors.
        await self._shelved(self._shelf.ids()[0])
        threading.Thread(target=self._refresh, args=(arguments.refresh_s,), daemon=True).start()

    async def _shelved(self, avatar: str) -> None:
        """See that an avatar is in memory, so that nobody else waits while it is loaded."""
        await self._known(avatar)
        if not self._shelf.holds(avatar):
            await asyncio.to_thread(self._shelf.avatar, avatar)

    @serve.multiplexed(max_num_models_per_replica=MAX_AFFINITY)
    async def _known(self, avatar: str) -> str:
        """Serve tells the ingress that this replica has the avatar, and the ingress prefers replicas that do. The
        avatar itself may have left memory since."""
        await asyncio.to_thread(self._shelf.avatar, avatar)
        return avatar

    async def info(self, avatar: str) -> AvatarInfo:
        """See `AvatarService.info`; loads nothing."""
        return await asyncio.to_thread(self._shelf.info, avatar)

    async def frame(self, request: RenderRequest, deadline: float | None) -> bytes:
        """A picture of the avatar whose id the request was routed by."""
        name = serve.get_multiplexed_model_id()
        await self._shelved(name)
        if request.describes:  # the first photograph takes a second; others' pictures do not wait for it
            await asyncio.to_thread(lambda: self._shelf.avatar(name).check(request))
        picture = await self._frames((name, request, deadline))
        if isinstance(picture, Exception):
            raise picture
        return picture

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0, max_concurrent_batches=2)
    async def _frames(self, asked: list[tuple[str, RenderRequest, float | None]]) -> list[bytes | Exception]:
        """What has gathered while the last batch was drawn; Serve keeps avatars apart."""
        wanted = [(request, deadline) for _, request, deadline in asked]
        return await asyncio.to_thread(self._draw, asked[0][0], wanted)

    def _draw(self, name: str, asked: list[tuple[RenderRequest, float | None]]) -> list[bytes | Exception]:
        """The pictures that are still of use, in one call; what is wrong with one is no other's trouble."""
        avatar = self._shelf.avatar(name)
        problems = [_problem(avatar, request, deadline) for request, deadline in asked]
        good = tuple(request for (request, _), problem in zip(asked, problems, strict=True) if problem is None)
        pictures = iter(Frames(good)(avatar))
        return [next(pictures) if problem is None else problem for problem in problems]

    async def run(self, work: Work[Any], deadline: float | None) -> Any:
        """Work on the avatar whose id the request was routed by."""
        name = serve.get_multiplexed_model_id()
        await self._shelved(name)
        remaining_s(deadline)
        return await asyncio.to_thread(lambda: work(self._shelf.avatar(name)))

    def _refresh(self, every_s: float) -> None:
        while not self._stopped.wait(every_s):
            try:
                self._shelf.refresh()
            except Exception:
                log.exception("looking for new versions failed; it is tried again")

    def __del__(self) -> None:
        self._stopped.set()


def _problem(avatar: LoadedAvatar, request: RenderRequest, deadline: float | None) -> PerseError | None:
    """Why a picture should not be drawn; None if it should."""
    try:
        remaining_s(deadline)
        avatar.check(request)
    except PerseError as error:
        return error
    return None


class RemoteAvatars:
    """`AvatarService` on replicas."""

    def __init__(self, names: list[str], renderer: DeploymentHandle[Any]) -> None:
        self._names = names
        self._renderer = renderer

    def ids(self) -> list[str]:
        return self._names

    async def info(self, avatar: str) -> AvatarInfo:
        self._check(avatar)
        info: AvatarInfo = await self._asked(lambda: self._renderer.info.remote(avatar))
        return info

    async def frame(self, avatar: str, request: RenderRequest) -> bytes:
        self._check(avatar)
        handle = self._renderer.options(method_name="frame", multiplexed_model_id=avatar)
        picture: bytes = await self._asked(lambda: handle.remote(request, current_deadline()))
        return picture

    async def run(self, avatar: str, work: Work[Result]) -> Result:
        self._check(avatar)
        handle = self._renderer.options(method_name="run", multiplexed_model_id=avatar)
        result: Result = await self._asked(lambda: handle.remote(work, current_deadline()))
        return result

    def _check(self, avatar: str) -> None:
        if avatar not in self._names:
            raise NoSuchAvatar("there is no such avatar; GET /v1/avatars lists them")

    async def _asked(self, question: Callable[[], Awaitable[Any]]) -> Any:
        """The answer, from another replica if one dies: work may be done twice, it changes nothing."""
        for attempt in range(ATTEMPTS):
            try:
                async with asyncio.timeout(remaining_s(current_deadline())):
                    return await question()
            except TimeoutError:
                raise DeadlineExceeded("the work takes longer than its answer is of use") from None
            except BackPressureError:
                raise Unavailable("too many requests are waiting; try again") from None
            except RayTaskError as error:
                raise error.cause from None
            except (RayActorError, ReplicaUnavailableError, DeploymentUnavailableError) as error:
                log.warning("a renderer is gone (attempt %d): %s", attempt + 1, type(error).__name__)
        raise Unavailable("the renderers keep dying; try again")


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
    """The HTTP application; its avatars are elsewhere."""

    def __init__(self, names: list[str], renderer: DeploymentHandle[Any], arguments: ServeArguments) -> None:
        self._avatars = RemoteAvatars(names, renderer)
        self._protection = arguments.protection()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._avatars, self._protection)


def serve_forever(arguments: ServeArguments, host: str, port: int) -> None:
    """Serve until interrupted. Needs a running Ray."""
    serve.start(http_options={"host": host, "port": port, "request_timeout_s": REQUEST_TIMEOUT_S})
    serve.run(application(arguments), name="perse", route_prefix="/", blocking=True)
