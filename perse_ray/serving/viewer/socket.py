"""Socket of the viewer: looks come in, Gaussians go out, and the newest look wins.

::

    {"channel": "avatar", "id": 7, "look": {…}}    ─►    splats (binary; the description carries channel and id)
    {"motion": "builtin"}                          ─►    {"kind": "motion", "fps": 25, "expressions": …, "joints": …}
    {"motion": "file", "name": "me.json"}, bytes   ─►    the same
                                                   ─►    {"kind": "avatar", "info": …}    at first, and when it changes
                                                   ─►    {"kind": "refused", "detail": …} instead of an answer

A look that arrives while another one of its channel is waiting replaces it: nobody wants to see where a slider was.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, get_args

import anyio
import anyio.to_thread
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from perse.data.motion_file import Motion, parse_motion
from perse.errors import InputError, PerseError
from perse.export.poses import BUILT_IN
from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar
from perse_ray.serving.drawing.tasks import SharedMotion
from perse_ray.serving.library.service import AvatarService
from perse_ray.serving.schema.deadline import due_in
from perse_ray.serving.schema.json_shape import JsonTooLarge, checked_json
from perse_ray.serving.schema.requests import Appearance, AvatarInfo, Strict

MAX_MOTION_BYTES = 4 * 1024 * 1024
"""Of a motion file that is dropped on the page; several minutes of a face."""

MAX_TEXT = 64 * 1024

WATCH_S = 2.0
"""How often somebody looks whether the avatar has changed."""

SPLATS_WITHIN_S, INFO_WITHIN_S = 10.0, 60.0
"""The latter may have to read the avatar from far away."""

Channel = Literal["avatar", "reference"]


@dataclass(frozen=True)
class Splats:
    """The Gaussians of a look, quantised for a browser."""

    look: Appearance
    channel: Channel
    id: int

    def __call__(self, avatar: LoadedAvatar) -> bytes:
        from perse.export.columns import splat_message

        return splat_message(avatar.frozen(self.look), channel=self.channel, id=self.id)


class WantedLook(Strict):
    """Look that somebody wants to see."""

    channel: Channel
    id: int = Field(ge=0)
    look: Appearance


class MotionWish(Strict):
    """A motion that somebody wants to play; a file's bytes come in the next message."""

    motion: Literal["builtin", "file"]
    name: Annotated[str, Field(max_length=100)] = ""


def _kind(value: Any) -> str:
    return "motion" if isinstance(value, Mapping) and "motion" in value else "look"


_MESSAGE: TypeAdapter[WantedLook | MotionWish] = TypeAdapter(
    Annotated[Annotated[WantedLook, Tag("look")] | Annotated[MotionWish, Tag("motion")], Discriminator(_kind)]
)


@dataclass
class Conversation:
    """Connection of one viewer: someone listens, someone answers, someone watches the avatar."""

    socket: WebSocket
    service: AvatarService
    avatar: str
    _wishes: dict[Channel, WantedLook] = field(default_factory=dict)
    _file: str = "motion"
    _info: AvatarInfo | None = None

    def __post_init__(self) -> None:
        self._news = anyio.Event()
        self._mouth = anyio.Lock()

    async def run(self) -> None:
        """Talk until the viewer goes away."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            tasks.start_soon(self._answer)
            await self._listen()
            tasks.cancel_scope.cancel()

    async def _listen(self) -> None:
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes") is not None:
                await self._motion(partial(_read, message["bytes"]), self._file)
            else:
                await self._hear(message.get("text") or "")

    async def _hear(self, text: str) -> None:
        try:
            if len(text) > MAX_TEXT:
                raise ValueError
            said = _MESSAGE.validate_python(checked_json(text))
        except ValidationError as error:
            await self._tell("refused", detail=_sentence(error), **_addressee(text))
        except JsonTooLarge as error:
            await self._tell("refused", detail=f"a message {error}", **_addressee(text))
        except json.JSONDecodeError:
            await self._tell("refused", detail="a message is a JSON object")
        except ValueError:
            await self._tell("refused", detail=f"a message may have {MAX_TEXT} characters")
        else:
            if isinstance(said, WantedLook):
                self._wishes[said.channel] = said
                self._news.set()
            elif said.motion == BUILT_IN:
                await self._motion(self._shared, BUILT_IN)
            else:
                self._file = said.name or "motion"

    async def _answer(self) -> None:
        """Work on the newest wishes, one after another."""
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            while self._wishes:
                wish = self._wishes.pop(next(iter(self._wishes)))
                try:
                    with due_in(SPLATS_WITHIN_S):
                        splats = await self.service.run(self.avatar, Splats(wish.look, wish.channel, wish.id))
                except PerseError as error:
                    await self._tell("refused", channel=wish.channel, id=wish.id, detail=str(error))
                else:
                    await self._say(self.socket.send_bytes, splats)

    async def _watch(self) -> None:
        """Introduce the avatar, and again whenever another version of it is there."""
        while True:
            try:
                with due_in(INFO_WITHIN_S):
                    info = await self.service.info(self.avatar)
            except PerseError as error:
                await self._tell("refused", detail=str(error))
            else:
                if info != self._info:
                    self._info = info
                    await self._tell("avatar", info=info.model_dump(mode="json"), motion_limit=MAX_MOTION_BYTES)
            await anyio.sleep(WATCH_S)

    async def _shared(self) -> Motion:
        with due_in(INFO_WITHIN_S):
            return await self.service.run(self.avatar, SharedMotion())

    async def _motion(self, read: Callable[[], Awaitable[Motion]], name: str) -> None:
        """Send a motion, as far as the avatar can perform it."""
        try:
            motion = await read()
            with due_in(INFO_WITHIN_S):
                info = self._info or await self.service.info(self.avatar)
            can = motion.only(info.expressions, info.joints)
        except PerseError as error:
            await self._tell("refused", detail=str(error))
            return
        left_out = sorted({*motion.expressions, *motion.joints} - {*can.expressions, *can.joints})
        await self._tell("motion", name=name, left_out=left_out, **_plain(can))

    async def _tell(self, kind: str, **values: Any) -> None:
        await self._say(self.socket.send_text, json.dumps({"kind": kind, **values}, separators=(",", ":")))

    async def _say(self, send: Callable[[Any], Awaitable[None]], message: str | bytes) -> None:
        async with self._mouth:
            await send(message)


async def converse(socket: WebSocket, service: AvatarService, avatar: str) -> None:
    """Accept a viewer and talk with it until it goes away."""
    await socket.accept()
    try:
        await Conversation(socket, service, avatar).run()
    except* (WebSocketDisconnect, RuntimeError) as gone:
        # Sending to somebody who has just left ends in one of these, depending on the server.
        if gone.subgroup(lambda error: isinstance(error, RuntimeError) and "close message" not in str(error)):
            raise


async def _read(data: bytes) -> Motion:
    return await anyio.to_thread.run_sync(partial(_uploaded, data))


def _uploaded(data: bytes) -> Motion:
    if len(data) > MAX_MOTION_BYTES:
        raise InputError(
            f"the motion has {len(data) / 2**20:.1f} MiB; {MAX_MOTION_BYTES // 2**20} MiB is the limit here"
        )
    return parse_motion(data)


def _plain(motion: Motion) -> dict[str, Any]:
    """For JSON, rounded to a ten-thousandth."""
    return {
        "fps": motion.fps,
        "expressions": {name: values.astype(float).round(4).tolist() for name, values in motion.expressions.items()},
        "joints": {name: values.astype(float).round(4).tolist() for name, values in motion.joints.items()},
    }


def _addressee(text: str) -> dict[str, Any]:
    """Channel and id of a look that cannot be understood otherwise, so that nobody waits for it."""
    try:
        said = json.loads(text)
        known = said["channel"] in get_args(Channel) and isinstance(said["id"], int)
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}
    return {"channel": said["channel"], "id": said["id"]} if known else {}


def _sentence(error: ValidationError) -> str:
    """The first problem, and nothing of the message echoed back."""
    problem = error.errors()[0]
    place = ".".join(str(step) for step in problem["loc"])[:100]
    return f"{place}: {problem['msg']}"[:300]
