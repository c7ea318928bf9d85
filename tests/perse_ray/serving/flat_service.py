"""An `AvatarService` with one avatar that paints flat colours: the darker, the more its hat is worn, its jaw open."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perse.attributes import Category
from perse.export import Edit, Provenance
from perse.viewing.renderer import checked_names
from perse_ray.serving.drawing.tasks import EncodedPictures, Work
from perse_ray.serving.schema.errors import NoSuchAvatar
from perse_ray.serving.schema.requests import Appearance, AvatarInfo, RenderRequest, SubjectInfo


class FlatAvatar:
    """What work asks of an avatar in memory."""

    def __init__(self) -> None:
        self.asked: list[RenderRequest] = []
        self.avatar = SimpleNamespace(
            card=SimpleNamespace(expression_names=("jawLeft", "smile"), joint_names=("neck", "jaw")),
            subjects=(SimpleNamespace(key="hat-a", category=Category.HAT),),
            decoder=None,
        )

    def resolve(self, request: RenderRequest) -> SimpleNamespace:
        worn: Any = request.attributes.get(Category.HAT, {})
        checked_names("hat subject", worn, ["hat-a"])
        checked_names("joint", request.pose, ["neck", "jaw"])
        return SimpleNamespace(request=request)

    def draw(self, resolved: Sequence[SimpleNamespace]) -> list[NDArray[np.uint8]]:
        return [self._drawn(one.request) for one in resolved]

    def _drawn(self, request: RenderRequest) -> NDArray[np.uint8]:
        worn: Any = request.attributes.get(Category.HAT, {})
        self.asked.append(request)
        level = round(100 * sum(worn.values()) + 100 * request.pose.get("jaw", (0,))[0])
        color = [level] * 4 if request.background is None else np.abs(np.subtract(request.background, level))
        return np.broadcast_to(np.array(color, np.uint8), (request.height, request.width, len(color)))

    def provenance(self, shown: Sequence[SimpleNamespace], *, dated: bool = True) -> Provenance:
        weights: Any = [weight for one in shown for weight in one.request.attributes.get(Category.HAT, {}).values()]
        return Provenance("x", (Edit("hat", "hat-a", "a red beanie", max(weights)),) if weights else ())

    def export(self, look: Appearance, format: str) -> bytes:
        return json.dumps([format, look.model_dump(mode="json")]).encode()


class FlatService:
    """One avatar, ``me``, with one hat."""

    def __init__(self) -> None:
        self.flat = FlatAvatar()

    @property
    def asked(self) -> list[RenderRequest]:
        return self.flat.asked

    def ids(self) -> list[str]:
        return ["me"]

    async def info(self, avatar: str) -> AvatarInfo:
        self._check(avatar)
        hat = SubjectInfo(id="hat-a", category=Category.HAT, text="a red beanie")
        return AvatarInfo(
            id=avatar, identity="x", subjects=[hat], expressions=["jawLeft", "smile"], joints=["neck", "jaw"],
            gaussians=5,
        )  # fmt: skip

    async def frame(self, avatar: str, request: RenderRequest) -> bytes:
        pictures: list[bytes] = await self.run(avatar, EncodedPictures((request,)))
        return pictures[0]

    async def run(self, avatar: str, work: Work[Any]) -> Any:
        self._check(avatar)
        return work(self.flat)  # type: ignore[arg-type]

    def _check(self, avatar: str) -> None:
        if avatar != "me":
            raise NoSuchAvatar("there is no such avatar; GET /v1/avatars lists them")
