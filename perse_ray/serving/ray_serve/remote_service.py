"""`AvatarService` on Ray Serve: work goes to a renderer that has the avatar, and to another if that one dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from perse_ray.serving.drawing.tasks import Work
from perse_ray.serving.schema.deadline import current_deadline, remaining_s
from perse_ray.serving.schema.errors import DeadlineExceeded, NoSuchAvatar, Unavailable
from perse_ray.serving.schema.requests import AvatarInfo, RenderRequest

log = logging.getLogger(__name__)

Result = TypeVar("Result")

ATTEMPTS = 3
"""A renderer that dies costs one more attempt; the second may meet the same one before everybody knows."""


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
