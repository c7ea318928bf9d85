"""The HTTP application. Knows no Ray: any ASGI server, or a test, can run it.

::

    POST /v1/avatars/{id}/render   a picture                         200 | 404 | 413 | 415 | 422 | 503
         /v1/avatars/{id}/…        animations, exports, …            see media_routes.py
    GET  /v1/avatars               what can be asked for             200
    GET  /healthz                  whether it is alive               200
    GET  /docs                     how to ask                        200
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import anyio.to_thread
from fastapi import FastAPI, HTTPException, Response
from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request
from fastapi.responses import HTMLResponse, JSONResponse

from perse.errors import PerseError
from perse_ray.serving.docs_page import api_page
from perse_ray.serving.loaded_avatar import AvatarLibrary
from perse_ray.serving.media_requests import MAX_MOTION_BYTES
from perse_ray.serving.media_routes import media_routes
from perse_ray.serving.requests import AVATAR_ID, MAX_BODY_BYTES, AvatarInfo, RenderRequest, UnknownName, encode_picture

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_WAITING = 32
"""Renders that may wait for their turn; more are told to come back."""

PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}, "image/jpeg": {}, "image/webp": {}}, "description": "the picture"}
}


def create_app(library: AvatarLibrary) -> FastAPI:
    """The application over a library of avatars."""
    # FastAPI's own /docs would load its assets from a content network; ours is one page of our own.
    app = FastAPI(title="PERSE avatars", version="1", docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, limit=MAX_BODY_BYTES, motion_limit=MAX_MOTION_BYTES)
    app.add_exception_handler(RequestValidationError, _explain)
    waiting = 0

    async def in_turn(avatar: str, work: Callable[[], Any]) -> Any:
        """Work on a known avatar, unless too much of it is waiting."""
        nonlocal waiting
        if not AVATAR_ID.fullmatch(avatar) or avatar not in library.ids():
            raise HTTPException(404, "there is no such avatar; GET /v1/avatars lists them")
        if waiting >= MAX_WAITING:
            raise HTTPException(503, "too many renders are waiting; try again", {"Retry-After": "1"})
        waiting += 1
        try:
            return await _in_thread(work)
        finally:
            waiting -= 1

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/avatars")
    async def avatars() -> list[AvatarInfo]:
        def infos() -> list[AvatarInfo]:
            return [library.info(name) for name in library.ids()]

        return await _in_thread(infos)

    @app.post("/v1/avatars/{avatar}/render", response_class=Response, responses=PICTURE)
    async def render(avatar: str, request: RenderRequest) -> Response:
        picture = await in_turn(avatar, lambda: encode_picture(library.render(avatar, request), request))
        return Response(picture, media_type=f"image/{request.format}", headers={"Cache-Control": "no-store"})

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> str:
        return api_page(app.openapi())

    app.include_router(media_routes(library, in_turn))
    return app


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run blocking work beside the event loop; expected errors become responses."""
    try:
        return await anyio.to_thread.run_sync(work)
    except UnknownName as error:
        raise HTTPException(422, str(error)) from error
    except PerseError as error:
        raise HTTPException(503, str(error)) from error


async def _explain(request: Request, error: Exception) -> JSONResponse:
    """One readable sentence a problem, and nothing of the request echoed back."""
    assert isinstance(error, RequestValidationError)
    problems = []
    for one in error.errors()[:10]:
        place = ".".join(str(step) for step in one["loc"] if step != "body")
        problems.append(f"{place[:100] or 'body'}: {one['msg']}"[:300])
    return JSONResponse({"detail": "; ".join(problems)}, 422)


class BodyLimit:
    """Refuses bodies beyond a size, counting the bytes that really arrive. Motions may be larger than the rest."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]], limit: int, motion_limit: int) -> None:
        self.app = app
        self.limit = limit
        self.motion_limit = motion_limit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.motion_limit if scope["path"].endswith("/animate") else self.limit
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                await _refuse(send, f"the request body may hold {limit} bytes")
                return
        whole: Message = {"type": "http.request", "body": bytes(body), "more_body": False}
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return whole

        await self.app(scope, replay, send)


async def _refuse(send: Send, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
