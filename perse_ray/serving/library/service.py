"""Service of avatars for the web application, wherever they are: in this process, or on replicas of Ray Serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread

from perse_ray.serving.drawing.tasks import EncodedPictures, Work
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.schema.deadline import current_deadline, remaining_s
from perse_ray.serving.schema.errors import DeadlineExceeded
from perse_ray.serving.schema.requests import AvatarInfo, RenderRequest

Result = TypeVar("Result")


class AvatarService(Protocol):
    """Avatars to work with. Everything may raise

    - `NoSuchAvatar`: the id is nobody's;
    - `UnknownName`: the work names something that the avatar does not have;
    - `Unavailable`: nobody can do it now;
    - `DeadlineExceeded`: `deadline.current_deadline` has passed;
    - `PerseError`: the avatar is there and cannot be used.
    """

    def ids(self) -> list[str]:
        """Ids of all avatars."""
        ...

    async def info(self, avatar: str) -> AvatarInfo:
        """Description of one avatar."""
        ...

    async def frame(self, avatar: str, request: RenderRequest) -> bytes:
        """One picture, encoded. May be drawn together with others' pictures of this avatar."""
        ...

    async def run(self, avatar: str, work: Work[Result]) -> Result:
        """Answer of any other work."""
        ...


class LocalAvatars:
    """Avatars in this process, without Ray; work runs in threads beside the event loop."""

    def __init__(self, cache: AvatarCache) -> None:
        self._cache = cache

    def ids(self) -> list[str]:
        return self._cache.ids()

    async def info(self, avatar: str) -> AvatarInfo:
        return await _in_thread(lambda: self._cache.info(avatar))

    async def frame(self, avatar: str, request: RenderRequest) -> bytes:
        return (await self.run(avatar, EncodedPictures((request,))))[0]

    async def run(self, avatar: str, work: Work[Result]) -> Result:
        return await _in_thread(lambda: work(self._cache.avatar(avatar)))


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Blocking work, until the deadline; what is late goes on in its thread and nobody waits for it."""
    try:
        with anyio.fail_after(remaining_s(current_deadline())):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    except TimeoutError:
        raise DeadlineExceeded("the work takes longer than its answer is of use") from None
