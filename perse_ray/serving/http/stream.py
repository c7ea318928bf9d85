"""Stream ``WS /v1/avatars/{id}/stream``: changes of a look in, pictures out, newest first.

The client sends JSON objects with fields of a render request; each changes what it names and leaves the rest::

    {"pose": {"neck": [0, 0.2, 0]}}
    {"camera": {"yaw_deg": 20}, "format": "jpeg", "width": 384, "height": 384}
    {"received": 7, "tag": 41}

and gets binary messages, each a whole picture. Of several changes that wait, one picture is drawn, of all of them
together: what is shown is never older than one picture. No more than `WINDOW` pictures are under way, so that a slow
client never builds a queue anywhere: ``received`` says how many have arrived since the connection opened. A client that
never says so gets `WINDOW` pictures and then, as a reminder, ``{"type": "waiting", …}``.

A ``tag`` comes back in ``{"type": "frame", "tag": …}`` just before the first picture that shows its change. What is
wrong with a change is told in ``{"type": "error", "detail": …}``; the look stays as it was, and so does the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from perse.errors import PerseError
from perse_ray.serving.library.service import AvatarService
from perse_ray.serving.schema.deadline import due_in
from perse_ray.serving.schema.errors import NoSuchAvatar, Unavailable
from perse_ray.serving.schema.json_shape import JsonTooLarge, checked_json
from perse_ray.serving.schema.requests import RenderRequest, explained

WINDOW = 3
"""Pictures under way: one is drawn, one travels, one is decoded."""
MAX_MESSAGE_BYTES = 64 * 1024
MAX_BAD_MESSAGES = 20
"""In a row; then the connection is closed."""
FRAME_WITHIN_S = 5.0
REMIND_AFTER_S = 2.0
RETRY_AFTER_S = 0.2
IDLE_S = 300.0
"""A connection that says nothing for so long is closed."""

POLICY, TRY_AGAIN_LATER = 1008, 1013
"""Close codes of RFC 6455 and its registry."""


class BadMessage(ValueError):
    """Error: a message that cannot be understood; the text is for the client."""


class WantedView:
    """View that a client wants to see, as changes come in."""

    def __init__(self) -> None:
        # JPEG unless it is chosen otherwise: a tenth of PNG's time, a quarter of its size.
        self._fields: dict[str, Any] = {"format": "jpeg"}
        self.request = RenderRequest(format="jpeg")
        self.tag: int | str | None = None
        self.received = 0
        self.changed = asyncio.Event()
        self.changed.set()  # the first picture is drawn unasked

    def take(self, message: str) -> None:
        """Apply a message.

        Raises:
            BadMessage: it is too long, no JSON object, or not a change of a render request; nothing has changed.
        """
        if len(message) > MAX_MESSAGE_BYTES:
            raise BadMessage(f"a message may have {MAX_MESSAGE_BYTES} bytes")
        try:
            change = checked_json(message)
        except JsonTooLarge as error:
            raise BadMessage(f"a message {error}") from None
        except ValueError:
            raise BadMessage("a message is a JSON object") from None
        if not isinstance(change, dict):
            raise BadMessage("a message is a JSON object")
        received, tag = change.pop("received", self.received), change.pop("tag", None)
        if type(received) is not int or received < self.received:
            raise BadMessage("received: the number of pictures that have arrived, which never falls")
        if tag is not None and (type(tag) not in (int, str) or len(str(tag)) > 64):
            raise BadMessage("tag: a number or up to 64 characters")
        if change:
            self._change(change)
        self.received = received
        if change or tag is not None:
            self.tag = tag if tag is not None else self.tag
            self.changed.set()

    def _change(self, change: dict[str, Any]) -> None:
        fields = self._fields | change
        try:
            self.request = RenderRequest.model_validate(fields)
        except ValidationError as error:
            raise BadMessage(explained(error.errors()[0])) from None
        self._fields = fields


class Stream:
    """Connection of a client."""

    def __init__(self, library: AvatarService, avatar: str, socket: WebSocket) -> None:
        self._library = library
        self._avatar = avatar
        self._socket = socket
        self._scene = WantedView()
        self._sent = 0
        self._progress = asyncio.Event()
        """Set when the client has said something."""

    async def run(self) -> None:
        """Talk until the client leaves."""
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, reader):
                task.cancel()
            for task in (writer, reader):
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task

    async def _read(self) -> None:
        bad = 0
        while True:
            try:
                message = await asyncio.wait_for(self._socket.receive_text(), IDLE_S)
            except TimeoutError:
                await self._socket.close(TRY_AGAIN_LATER, "nothing was said for a while")
                return
            except KeyError:
                message = ""  # a binary message
            try:
                self._scene.take(message)
                bad = 0
            except BadMessage as error:
                bad += 1
                if bad >= MAX_BAD_MESSAGES:
                    await self._socket.close(POLICY, "too many bad messages")
                    return
                await self._tell({"type": "error", "detail": str(error)})
            self._progress.set()

    async def _write(self) -> None:
        while True:
            await self._room()
            await self._scene.changed.wait()
            self._scene.changed.clear()
            tag, self._scene.tag = self._scene.tag, None
            try:
                with due_in(FRAME_WITHIN_S):
                    picture = await self._library.frame(self._avatar, self._scene.request)
            except NoSuchAvatar as error:
                await self._socket.close(POLICY, str(error))
                return
            except Unavailable:
                # Nobody but us knows; the picture is drawn as soon as somebody can.
                self._scene.tag = self._scene.tag if self._scene.tag is not None else tag
                self._scene.changed.set()
                await asyncio.sleep(RETRY_AFTER_S)
                continue
            except PerseError as error:
                await self._tell({"type": "error", "detail": str(error)[:500], "tag": tag})
                continue
            if tag is not None:
                await self._tell({"type": "frame", "tag": tag})
            self._sent += 1
            await self._socket.send_bytes(picture)

    async def _room(self) -> None:
        """Wait until another picture may be sent."""
        reminded = time.monotonic() + REMIND_AFTER_S
        while self._sent - self._scene.received >= WINDOW:
            self._progress.clear()
            try:
                async with asyncio.timeout(REMIND_AFTER_S):
                    await self._progress.wait()
            except TimeoutError:
                pass
            if time.monotonic() > reminded and self._sent - self._scene.received >= WINDOW:
                reminded = time.monotonic() + REMIND_AFTER_S
                detail = f'{WINDOW} pictures are under way; say {{"received": {self._sent}}} when they have arrived'
                await self._tell({"type": "waiting", "detail": detail, "sent": self._sent})

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message))


def stream_routes(library: AvatarService) -> APIRouter:
    """Routes of the stream over a library."""
    routes = APIRouter()

    @routes.websocket("/v1/avatars/{avatar}/stream")
    async def stream(socket: WebSocket, avatar: str) -> None:
        if avatar not in library.ids():
            await socket.close(POLICY, "there is no such avatar; GET /v1/avatars lists them")
            return
        await socket.accept()
        await Stream(library, avatar, socket).run()

    return routes
