"""The HTTP application. Knows no Ray: any ASGI server, or a test, can run it.

::

    POST /v1/avatars/{id}/render   a picture
         /v1/avatars/{id}/…        animations, exports, …      see media_routes.py
    WS   /v1/avatars/{id}/stream   pictures, newest first      see stream.py
    WS   /v1/camera                pictures of a face in, head parameters out; see viewer/camera.py
    GET  /view                     to look at them in a browser; see view_routes.py
    GET  /v1/avatars               what can be asked for
    GET  /healthz                  whether it is alive
    GET  /readyz                   whether it can draw
    GET  /metrics                  how it is doing; see protection/, which also decides who may ask
    GET  /docs                     how to ask

Refusals are JSON, ``{"detail": "…"}``, one readable sentence.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict

from perse.errors import PerseError
from perse_ray.serving.http.checked_body import CheckedRoute
from perse_ray.serving.http.docs_page import api_page
from perse_ray.serving.http.media_routes import AvatarId, media_routes, refusals
from perse_ray.serving.http.stream import stream_routes
from perse_ray.serving.library.service import AvatarService
from perse_ray.serving.protection import Protection, protect
from perse_ray.serving.protection.body_limit import BodyLimit
from perse_ray.serving.schema.deadline import due_in
from perse_ray.serving.schema.errors import DeadlineExceeded, NoSuchAvatar, UnknownName
from perse_ray.serving.schema.requests import MAX_BODY_BYTES, AvatarInfo, RenderRequest, explained
from perse_ray.serving.viewer.camera import MakeFollower, camera_routes
from perse_ray.serving.viewer.routes import view_routes

STATUS: dict[type[PerseError], int] = {NoSuchAvatar: 404, UnknownName: 422, DeadlineExceeded: 504, PerseError: 503}
"""Answers to errors; the most particular class counts."""

PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}, "image/jpeg": {}, "image/webp": {}}, "description": "the picture"},
    **refusals(404, 413, 422, 503, 504),
}
ABOUT = """Renders of personalised head avatars: edits as mixes of learned subjects, expressions, poses, cameras.

`WS /v1/avatars/{avatar}/stream` sends pictures as a look changes: JSON objects with fields of a RenderRequest in, each
changing what it names; binary messages out, each a picture. Say `{"received": n}` after n pictures."""

READY_FOR_S = 10.0
"""A picture that was drawn proves for so long that pictures can be drawn."""
READY_WITHIN_S = 5.0
"""Longer than a probe waits it need not take to find out."""


class Status(BaseModel):
    """State of the service."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok", "ready"]


def create_app(
    library: AvatarService, protection: Protection | None = None, follow: MakeFollower | None = None
) -> FastAPI:
    """Application over a library of avatars.

    Args:
        library: the avatars.
        protection: who may ask, and how much; None, for what is not on a network, leaves only the limit of bodies.
        follow: what follows a face before a camera; None where no camera is answered.
    """
    # FastAPI's own /docs would load its assets from a content network; ours is one page of our own.
    app = FastAPI(title="PERSE avatars", description=ABOUT, version="1", docs_url=None, redoc_url=None)
    app.router.route_class = CheckedRoute
    app.add_middleware(BodyLimit, limit=MAX_BODY_BYTES)
    app.add_exception_handler(RequestValidationError, _explain)
    app.add_exception_handler(PerseError, _refuse_politely)
    ready = Readiness(library)

    @app.get("/healthz")
    async def healthz() -> Status:
        """Alive, though perhaps not able to draw yet."""
        return Status(status="ok")

    @app.get("/readyz", responses=refusals(503))
    async def readyz() -> Status:
        """Ready: an avatar was drawn, just now or seconds ago."""
        await ready.check()
        return Status(status="ready")

    @app.get("/v1/avatars", responses=refusals(503))
    async def avatars() -> list[AvatarInfo]:
        """Every avatar, with what can be asked of it."""
        return [await library.info(name) for name in library.ids()]

    @app.post("/v1/avatars/{avatar}/render", response_class=Response, responses=PICTURE)
    async def render(avatar: AvatarId, request: RenderRequest) -> Response:
        """A picture. Its metadata say that it is synthetic; `provenance` has it signed as well."""
        picture = await library.frame(avatar, request)
        return Response(picture, media_type=f"image/{request.format}", headers={"Cache-Control": "no-store"})

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> str:
        return api_page(app.openapi())

    app.include_router(media_routes(library))
    app.include_router(stream_routes(library))
    app.include_router(view_routes(library))
    app.include_router(camera_routes(follow))
    if protection is not None:
        protect(app, protection)
    return app


class Readiness:
    """Check whether any avatar can be drawn, remembered for a while."""

    def __init__(self, library: AvatarService) -> None:
        self._library = library
        self._proven_until = 0.0

    async def check(self) -> None:
        """Check whether an avatar can be drawn.

        Raises:
            PerseError: nothing can be drawn; why the last avatar could not.
        """
        if time.monotonic() < self._proven_until:
            return
        failure = PerseError("there is no avatar to draw")
        with due_in(READY_WITHIN_S):
            for name in self._library.ids():
                try:
                    await self._library.frame(name, RenderRequest(width=16, height=16))
                except PerseError as error:
                    failure = error
                    continue
                self._proven_until = time.monotonic() + READY_FOR_S
                return
        raise PerseError(f"not ready: {failure}")


async def _refuse_politely(request: Request, error: Exception) -> JSONResponse:
    """What the service cannot or will not do."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"detail": str(error)}, status, headers)


async def _explain(request: Request, error: Exception) -> JSONResponse:
    """What is not understood, one sentence a problem."""
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": "; ".join(map(explained, error.errors()[:10]))}, 422)
