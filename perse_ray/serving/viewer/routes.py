"""The viewer's routes.

::

    GET  /                              to the page
    GET  /view                          the page
    GET  /view/{file}                   what it is made of; nothing comes from anywhere else
    WS   /v1/avatars/{id}/splats        looks in, Gaussians out; see view_socket.py
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException, Response, WebSocket
from fastapi.responses import RedirectResponse

import perse.export
from perse_ray.serving.library.service import AvatarService
from perse_ray.serving.viewer.socket import converse

_HERE = Path(__file__).parent / "page"
_RENDERER = Path(perse.export.__file__).with_name("splats.js")
_FILES = {path.name: path for path in (_RENDERER, *sorted(_HERE.glob("*.js")), *_HERE.glob("*.css"))}
_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}

CLOSED_UNKNOWN = 4404


def view_routes(service: AvatarService) -> APIRouter:
    """The viewer of a service's avatars."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def home() -> Response:
        return RedirectResponse("view")

    @routes.get("/view", include_in_schema=False)
    async def page() -> Response:
        return Response((_HERE / "index.html").read_bytes(), media_type="text/html; charset=utf-8", headers=_HEADERS)

    @routes.get("/view/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        path = _FILES.get(name)
        if path is None:
            raise HTTPException(404, "the viewer has no such file")
        return Response(path.read_bytes(), media_type=_KINDS[path.suffix], headers=_HEADERS)

    @routes.websocket("/v1/avatars/{avatar}/splats")
    async def splats(socket: WebSocket, avatar: str) -> None:
        # Any page may open a socket to anywhere; that only ours gets this far is `protection.authentication`'s work.
        if avatar in service.ids():
            await converse(socket, service, avatar)
        else:
            await socket.close(CLOSED_UNKNOWN)

    return routes
