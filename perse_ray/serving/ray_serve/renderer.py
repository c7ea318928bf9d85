"""Renderer deployment: avatars in memory, pictures that wait together drawn together."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

from ray import serve

from perse.errors import PerseError
from perse.viewing import Encoders
from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar, Resolved
from perse_ray.serving.drawing.tasks import Work, encoded
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.sources import find_places
from perse_ray.serving.ray_serve.arguments import ServeArguments
from perse_ray.serving.schema.deadline import remaining_s
from perse_ray.serving.schema.requests import AvatarInfo, RenderRequest

log = logging.getLogger(__name__)

RENDERER = "renderer"

MAX_BATCH = 8
"""Pictures in one call of the rasterizer: more would keep the first waiting for the last."""
MAX_ONGOING = 2 * MAX_BATCH
"""Requests inside one renderer: one batch is drawn, another gathers."""
MAX_QUEUED = 64
"""Requests that wait in the ingress for a renderer; Serve's own default has no limit."""
MAX_AFFINITY = 1000
"""Avatars for which a renderer is remembered to be a good choice. Its memory is bounded in MiB, by the cache."""
DRAIN_S = 30.0
"""A replica that has to go finishes what it has begun."""


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
    """Replica with avatars in memory."""

    async def __init__(self, arguments: ServeArguments) -> None:  # type: ignore[misc]  # Serve awaits it
        places = await asyncio.to_thread(find_places, arguments.places)
        encoders = Encoders(Path(arguments.clip) if arguments.clip else None)
        self._cache = AvatarCache(places, memory_mib=arguments.memory_mib, encoders=encoders)
        self._stopped = threading.Event()
        # A replica takes part when this returns: whoever meets it first does not wait for kernels and tensors.
        await self._loaded(self._cache.ids()[0])
        threading.Thread(target=self._refresh, args=(arguments.refresh_s,), daemon=True).start()

    async def _loaded(self, avatar: str) -> None:
        """See that an avatar is in memory, so that nobody else waits while it is loaded."""
        await self._known(avatar)
        if not self._cache.holds(avatar):
            await asyncio.to_thread(self._cache.avatar, avatar)

    @serve.multiplexed(max_num_models_per_replica=MAX_AFFINITY)
    async def _known(self, avatar: str) -> str:
        """Serve tells the ingress that this replica has the avatar, and the ingress prefers replicas that do. The
        avatar itself may have left memory since."""
        await asyncio.to_thread(self._cache.avatar, avatar)
        return avatar

    async def info(self, avatar: str) -> AvatarInfo:
        """See `AvatarService.info`; loads nothing."""
        return await asyncio.to_thread(self._cache.info, avatar)

    async def frame(self, request: RenderRequest, deadline: float | None) -> bytes:
        """Picture of the avatar whose id the request was routed by."""
        name = serve.get_multiplexed_model_id()
        await self._loaded(name)
        if request.describes:  # the first photograph takes a second; others' pictures do not wait for it
            await asyncio.to_thread(lambda: self._cache.avatar(name).resolve(request))
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
        avatar = self._cache.avatar(name)
        resolved = [_resolved(avatar, request, deadline) for request, deadline in asked]
        pictures = iter(encoded(avatar, [one for one in resolved if isinstance(one, Resolved)]))
        return [next(pictures) if isinstance(one, Resolved) else one for one in resolved]

    async def run(self, work: Work[Any], deadline: float | None) -> Any:
        """Answer of work on the avatar whose id the request was routed by."""
        name = serve.get_multiplexed_model_id()
        await self._loaded(name)
        remaining_s(deadline)
        return await asyncio.to_thread(lambda: work(self._cache.avatar(name)))

    def _refresh(self, every_s: float) -> None:
        while not self._stopped.wait(every_s):
            try:
                self._cache.refresh()
            except Exception:
                log.exception("looking for new versions failed; it is tried again")

    def __del__(self) -> None:
        self._stopped.set()


def _resolved(avatar: LoadedAvatar, request: RenderRequest, deadline: float | None) -> Resolved | PerseError:
    """A picture that can be drawn, or why it should not be."""
    try:
        remaining_s(deadline)
        return avatar.resolve(request)
    except PerseError as error:
        return error
