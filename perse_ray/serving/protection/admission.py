"""No more is begun than can be finished soon: what does not fit is refused at once, before its body is read.

Without this a queue grows until every answer comes too late to be of use. Three lanes, so that long work does not keep
pictures waiting: ``pictures`` and everything small, ``media`` (films, exports), ``streams`` (WebSockets).
"""

from __future__ import annotations

from dataclasses import dataclass

from perse_ray.serving.protection.asgi import ALWAYS_OPEN, Application, Receive, Scope, Send, refuse, retry_after

UNLIMITED = (*ALWAYS_OPEN, "/metrics")
LONG_WORK = ("/animate", "/export")


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """How much may be under way in this process, drawn and waiting together."""

    pictures: int = 24
    """Three full batches of a renderer: what waits longer is late."""
    media: int = 4
    """Films and exports."""
    streams: int = 32
    """Open WebSockets."""


class Admission:
    """Refuses with 503 what would have to wait too long.

    Args:
        app: what is protected.
        lanes: how much fits.
    """

    def __init__(self, app: Application, lanes: Lanes) -> None:
        self._app = app
        self._room = {"pictures": lanes.pictures, "media": lanes.media, "streams": lanes.streams}
        self.under_way = dict.fromkeys(self._room, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in UNLIMITED:
            await self._app(scope, receive, send)
            return
        lane = lane_of(scope)
        if self.under_way[lane] >= self._room[lane]:
            await refuse(scope, receive, send, 503, f"too many {lane} are under way; try again", retry_after(0.5))
            return
        self.under_way[lane] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.under_way[lane] -= 1


def lane_of(scope: Scope) -> str:
    """Which lane a request takes."""
    if scope["type"] == "websocket":
        return "streams"
    return "media" if scope["path"].endswith(LONG_WORK) else "pictures"
