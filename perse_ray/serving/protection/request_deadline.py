"""Deadline of requests: each is answered in time, or told that it is not, and its work ends."""

from __future__ import annotations

import asyncio

from perse_ray.serving.protection.admission import lane_of
from perse_ray.serving.protection.asgi import Application, Message, Receive, Scope, Send, refuse
from perse_ray.serving.schema.deadline import due_in

GRACE_S = 1.0
"""The application knows the deadline and answers itself, better; what does not is cut off this much later."""


class Deadline:
    """Middleware that sets the deadline that everything below can read, and answers 504 once it has passed.

    Counts from the first byte of the request to the first of the answer, so it also ends a body that trickles in. An
    answer that has begun may take its time. WebSockets have none.

    Args:
        app: what is protected.
        pictures_s: for pictures and everything small.
        media_s: for films and exports.
        grace_s: see `GRACE_S`.
    """

    def __init__(self, app: Application, pictures_s: float, media_s: float, grace_s: float = GRACE_S) -> None:
        self._app = app
        self._within_s = {"pictures": pictures_s, "pages": pictures_s, "media": media_s}
        self._grace_s = grace_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds = self._within_s[lane_of(scope)]
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                limit.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(seconds + self._grace_s) as limit:
                with due_in(seconds):
                    await self._app(scope, receive, sent)
        except TimeoutError:
            if begun or not limit.expired():
                raise
            await refuse(scope, receive, send, 504, f"no answer within {seconds:g} seconds; try again")
