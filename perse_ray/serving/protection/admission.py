"""Admission control: what cannot be finished soon is refused at once, before its body is read.

Without this a queue grows until every answer comes too late to be of use. Four lanes, so that long work does not keep
pictures waiting, nor pictures pages: ``pictures``, ``media`` (films, exports), ``streams`` (WebSockets), and ``pages``
with all that belongs to one (its files, lists, thumbnails).
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields

from perse_ray.serving.protection.asgi import ALWAYS_OPEN, Application, Receive, Scope, Send, refuse, retry_after

UNLIMITED = (*ALWAYS_OPEN, "/metrics")
LONG_WORK = ("/animate", "/export")


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Limits of what is under way in this process, drawn and waiting together."""

    pictures: int = 5
    """For one renderer: a batch that is drawn and one that gathers. Twice as many wait twice as long, and are drawn no
    sooner [M: at ten times the capacity p99 284 ms, 3.6 times that at once the capacity]."""
    media: int = 4
    """Films and exports."""
    streams: int = 32
    """Open WebSockets."""
    pages: int = 64
    """Small things that are asked for with GET. A browser asks for six at once, and thumbnails are drawn once."""


def environment_lanes() -> Lanes:
    """`Lanes` with what $PERSE_LANE_PICTURES, …_MEDIA, …_STREAMS and …_PAGES say otherwise."""
    named = {lane.name: os.environ.get(f"PERSE_LANE_{lane.name.upper()}", "") for lane in fields(Lanes)}
    return Lanes(**{name: int(value) for name, value in named.items() if value.isdigit()})


class Admission:
    """Middleware that refuses with 503 what would have to wait too long.

    Args:
        app: what is protected.
        lanes: how much fits.
    """

    def __init__(self, app: Application, lanes: Lanes) -> None:
        self._app = app
        self._room: dict[str, int] = asdict(lanes)
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
    """Lane that a request takes."""
    if scope["type"] == "websocket":
        return "streams"
    if scope["path"].endswith(LONG_WORK):
        return "media"
    return "pages" if scope["method"] in ("GET", "HEAD") else "pictures"
