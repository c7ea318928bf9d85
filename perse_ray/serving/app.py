"""The HTTP application: routes, validation and error answers. It runs under any ASGI server; tests need no network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

import perse
from perse.errors import InputError
from perse_ray.serving.requests import AvatarId, AvatarInfo, RenderRequest

MAX_BODY_BYTES = 64 * 1024
"""A render request is a few hundred bytes of JSON."""


class UnknownAvatarError(InputError):
    """There is no avatar with this id."""


class Renderer(Protocol):
    """What the routes need. `AvatarLibrary` offers it in process, a handle to replicas offers it on Ray Serve."""

    def avatars(self) -> Sequence[AvatarInfo]: ...

    def render(self, avatar_id: str, request: RenderRequest) -> bytes:
        """An encoded picture.

        Raises:
            UnknownAvatarError: no such avatar.
            InputError: a name in the request does not exist in this avatar; the message lists what does.
        """
        ...


def create_app(renderer: Renderer) -> FastAPI:
    """The service's routes on top of a renderer. Rendering runs on worker threads; health answers meanwhile."""
    app = FastAPI(
        title="PERSE render service",
        version=perse.__version__,
        summary="Renders personalised head avatars with edited attributes, expression, pose and camera.",
    )

    @app.middleware("http")
    async def _bounded_body(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        # Counted while it streams: a Content-Length may be missing or lie.
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return _problem(413, f"a request body holds at most {MAX_BODY_BYTES} bytes")
        request._body = bytes(body)
        return await call_next(request)

    @app.exception_handler(UnknownAvatarError)
    async def _not_found(_: Request, error: UnknownAvatarError) -> Response:
        return _problem(404, str(error))

    @app.exception_handler(InputError)
    async def _unprocessable(_: Request, error: InputError) -> Response:
        return _problem(422, str(error))

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        """Answers as long as the process lives."""
        return {"status": "ok", "version": perse.__version__}

    @app.get("/v1/avatars")
    async def avatars() -> list[AvatarInfo]:
        """Every avatar with its named edits and expressions."""
        return list(await run_in_threadpool(renderer.avatars))

    @app.post(
        "/v1/avatars/{avatar_id}/render",
        response_class=Response,
        responses={
            200: {"content": {"image/png": {}, "image/jpeg": {}}, "description": "The picture."},
            404: {"description": "No such avatar."},
            413: {"description": "The body is too large."},
            422: {"description": "A value is out of range or a name is unknown; `detail` says which."},
        },
    )
    async def render(avatar_id: AvatarId, request: RenderRequest) -> Response:
        """One picture of an avatar."""
        picture = await run_in_threadpool(renderer.render, avatar_id, request)
        return Response(picture, media_type=f"image/{request.format}", headers={"Cache-Control": "no-store"})

    return app


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status)
