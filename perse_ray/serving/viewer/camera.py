"""Socket of the camera: small pictures of a face come in, head parameters go out, and the newest picture wins.

::

    GET /v1/camera                       what is taken, and whether it is taken here at all
    WS  /v1/camera

    float64 (the page's clock, ms), JPEG ─►  {"kind": "face", "at": 812.5, "expressions": {…}, "joints": {…}}
                                         ─►  {"kind": "resting" | "far" | "nobody", "at": …, "rested": 0.4}
                                         ─►  {"kind": "refused", "detail": …}
    {"rest": true}                       ─►  the face is watched at rest once more

A picture that arrives while another one waits replaces it. Pictures are looked at and forgotten: nothing is written
anywhere, and nothing but numbers leaves. Only servers of one machine have this line (`perse view`, `perse studio`):
tracking takes a good part of a core, and a camera's pictures should not travel.
"""

from __future__ import annotations

import json
import math
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import anyio.to_thread
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ConfigDict

from perse.data.images import read_portrait_bytes
from perse.errors import PerseError
from perse.tracking.live import LiveFrame, LiveTracker, LiveTrackerConfig, Seen
from perse_ray.serving.schema.json_shape import JsonTooLarge, checked_json
from perse_ray.serving.schema.requests import Strict

SIDE_PX, MAX_SIDE_PX = 192, 512
"""The shorter side of pictures as the page sends them; the longest side that is taken."""
MAX_FRAME_BYTES = 64 * 1024
PER_SECOND = 30.0
"""Pictures that are tracked at most; others are passed over."""
MAX_BAD = 20
"""Messages in a row that cannot be understood; then the connection is closed."""
IDLE_S = 30.0
"""A camera that sends nothing for so long makes room for others."""
MAX_TEXT = 200

NOT_HERE, BUSY, POLICY, IDLE = 4404, 4409, 1008, 4408
"""Close codes: no camera is answered; another page's is followed; too much that cannot be understood; nothing came."""

_CLOCK = struct.Struct("<d")


class FaceFollower(Protocol):
    """Follower of one face; `LiveTracker` is it."""

    def see(self, image: Any, time_s: float) -> LiveFrame:
        """Result of the next picture [h, w, 3] uint8 RGB."""
        ...

    def rest_again(self) -> None:
        """Watch the face at rest once more."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


MakeFollower = Callable[[], FaceFollower]


class CameraInfo(Strict):
    """Limits of what a camera may send."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"offered": True, "side_px": 192, "per_second": 30.0, "max_bytes": 65536}]}
    )

    offered: bool
    """Whether it may at all: on a server of one machine."""
    side_px: int
    """The shorter side of a picture."""
    per_second: float
    """Pictures that are looked at, at most."""
    max_bytes: int
    """Of one picture, JPEG."""


@dataclass
class WaitingPicture:
    """Picture that waits."""

    at_ms: float
    jpeg: bytes


class BadFrame(ValueError):
    """Error: a message that is no picture; the text is for the page."""


def parsed(message: bytes, after_ms: float) -> WaitingPicture:
    """A message as a picture, not yet decoded.

    Raises:
        BadFrame: too long, no JPEG, or not later than the last one.
    """
    if len(message) > MAX_FRAME_BYTES:
        raise BadFrame(f"a picture may have {MAX_FRAME_BYTES // 1024} KiB")
    if len(message) < _CLOCK.size + 4 or message[8:10] != b"\xff\xd8":
        raise BadFrame("a message is the time, eight bytes, and a JPEG picture")
    (at_ms,) = _CLOCK.unpack_from(message)
    if not (math.isfinite(at_ms) and 0 <= at_ms < 1e15 and at_ms > after_ms):
        raise BadFrame("the time of a picture is milliseconds, later than the last one's")
    return WaitingPicture(at_ms, message[_CLOCK.size :])


@dataclass
class Watching:
    """Connection of one camera: someone listens, someone looks."""

    socket: WebSocket
    make: MakeFollower
    _waiting: WaitingPicture | None = None
    _rest: bool = False
    _mouth: anyio.Lock = field(default_factory=anyio.Lock)

    async def run(self) -> None:
        """Until the page goes away, or nothing comes any more."""
        self._news = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look)
            await self._listen()
            tasks.cancel_scope.cancel()

    async def _listen(self) -> None:
        bad, last_ms = 0, -1.0
        while bad < MAX_BAD:
            try:
                with anyio.fail_after(IDLE_S):
                    message = await self.socket.receive()
            except TimeoutError:
                await self.socket.close(IDLE, "no picture came for a while")
                return
            if message["type"] == "websocket.disconnect":
                return
            try:
                if message.get("bytes") is not None:
                    self._waiting = parsed(message["bytes"], last_ms)
                    last_ms = self._waiting.at_ms
                else:
                    self._hear(message.get("text") or "")
            except BadFrame as error:
                bad += 1
                await self._tell("refused", detail=str(error))
            else:
                bad = 0
                self._news.set()
        await self.socket.close(POLICY, "too many messages that cannot be understood")

    def _hear(self, text: str) -> None:
        try:
            known = len(text) <= MAX_TEXT and checked_json(text) == {"rest": True}
        except (JsonTooLarge, ValueError):
            known = False
        if not known:
            raise BadFrame('a text is {"rest": true}')
        self._rest = True

    async def _look(self) -> None:
        """Look at the newest picture, again and again."""
        follower = await anyio.to_thread.run_sync(self.make)
        try:
            await self._tell("ready")
            while True:
                await self._news.wait()
                self._news = anyio.Event()
                frame, self._waiting = self._waiting, None
                if frame is None:
                    continue
                began = anyio.current_time()
                if self._rest:
                    self._rest = False
                    follower.rest_again()
                try:
                    seen = await anyio.to_thread.run_sync(_seen, follower, frame)
                except PerseError as error:
                    await self._tell("refused", detail=str(error), at=frame.at_ms)
                else:
                    await self._answer(seen, frame.at_ms, anyio.current_time() - began)
                await anyio.sleep_until(began + 1 / PER_SECOND)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(follower.close)

    async def _answer(self, frame: LiveFrame, at_ms: float, took_s: float) -> None:
        said: dict[str, Any] = {"at": at_ms, "took": round(1000 * took_s, 1)}
        if frame.motion is None:
            await self._tell(frame.seen.value, rested=round(frame.rested, 3), **said)
            return
        expressions = {name: round(float(values[0]), 4) for name, values in frame.motion.expressions.items()}
        joints = {name: values[0].astype(float).round(4).tolist() for name, values in frame.motion.joints.items()}
        await self._tell(Seen.FACE.value, expressions=expressions, joints=joints, **said)

    async def _tell(self, kind: str, **values: Any) -> None:
        async with self._mouth:
            await self.socket.send_text(json.dumps({"kind": kind, **values}, separators=(",", ":")))


def _seen(follower: FaceFollower, frame: WaitingPicture) -> LiveFrame:
    image = read_portrait_bytes(frame.jpeg, name="the camera's picture", max_side_px=MAX_SIDE_PX)
    return follower.see(image, frame.at_ms / 1000)


def live_tracker() -> FaceFollower:
    """The tracker of the head that the laptop's avatars have."""
    from perse.head.embedded import embedded_head

    return LiveTracker(LiveTrackerConfig(), embedded_head())


def camera_routes(make: MakeFollower | None) -> APIRouter:
    """Routes of the camera's socket, for one camera at a time.

    Args:
        make: follows a face; called in a thread when a camera is connected. None where no camera is answered.
    """
    routes = APIRouter()
    taken = threading.Lock()

    @routes.get("/v1/camera")
    async def camera() -> CameraInfo:
        """Whether a camera can drive avatars here, over the WebSocket of the same address, and with what pictures."""
        return CameraInfo(offered=make is not None, side_px=SIDE_PX, per_second=PER_SECOND, max_bytes=MAX_FRAME_BYTES)

    @routes.websocket("/v1/camera")
    async def watch(socket: WebSocket) -> None:
        await socket.accept()
        if make is None:
            await socket.close(NOT_HERE, "no camera is answered here")
            return
        if not taken.acquire(blocking=False):
            await socket.close(BUSY, "another page's camera is followed")
            return
        try:
            await Watching(socket, make).run()
        except* (WebSocketDisconnect, RuntimeError) as gone:
            # Sending to somebody who has just left ends in one of these, depending on the server.
            if gone.subgroup(lambda error: isinstance(error, RuntimeError) and "close message" not in str(error)):
                raise
        finally:
            taken.release()

    return routes
