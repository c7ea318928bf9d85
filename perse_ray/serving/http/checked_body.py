"""Bodies that are measured before they are validated, and parsed beside the event loop where they are large."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio.to_thread
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from perse_ray.serving.schema.json_shape import JsonTooLarge, checked_json

PARSED_AT_ONCE = 64 * 1024
"""Bytes; a millisecond. What is larger does not keep the other requests waiting."""


class CheckedRequest(Request):
    """A request whose JSON is never larger than the service can ask itself about."""

    async def json(self) -> Any:
        """Value of the body.

        Raises:
            HTTPException: 422, too much of it.
            json.JSONDecodeError: it is none.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                if len(body) <= PARSED_AT_ONCE:
                    self._json = checked_json(body)
                else:
                    self._json = await anyio.to_thread.run_sync(checked_json, body)
            except JsonTooLarge as error:
                raise HTTPException(422, f"body: {error}") from None
        return self._json


class CheckedRoute(APIRoute):
    """A route whose handler sees a `CheckedRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def checked(request: Request) -> Response:
            return await handler(CheckedRequest(request.scope, request.receive))

        return checked
