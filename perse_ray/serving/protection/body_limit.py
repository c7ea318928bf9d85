"""Limit of body sizes, counted as they arrive; a header about the size is only believed if it is too much."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from perse_ray.serving.protection.asgi import Application, Message, Receive, Scope, Send, refuse


class BodyLimit:
    """Middleware that refuses with 413, and reads no further.

    Args:
        app: what is protected; it gets the body as it arrives.
        limit: bytes.
    """

    def __init__(self, app: Application, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit
        detail = f"the request body may hold {limit} bytes"
        announced = HTTPConnection(scope).headers.get("content-length", "0")
        if not announced.isdigit() or int(announced[:20]) > limit:
            await refuse(scope, receive, send, 413, detail)
            return
        count, begun = 0, False

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > limit:
                raise _TooLarge
            return message

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, sent)
        except _TooLarge:
            if begun:
                raise
            await refuse(scope, receive, send, 413, detail)


class _TooLarge(BaseException):
    """Passes through the application, whose handlers of `Exception` would take it for their own mistake."""
