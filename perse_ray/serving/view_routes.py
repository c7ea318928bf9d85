"""The viewer's routes.

::

    GET  /                              to the page
    GET  /view                          the page
    GET  /view/{file}                   what it is made of; nothing comes from anywhere else
    WS   /v1/avatars/{id}/splats        looks in, Gaussians out; see view_socket.py
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException, Response, WebSocket
from fastapi.responses import RedirectResponse

import perse.export
from perse_ray.serving.service import AvatarService
from perse_ray.serving.view_socket import converse

_HERE = Path(__file__).parent / "viewer"
_RENDERER = Path(perse.export.__file__).with_name("splats.js")
_FILES = {path.name: path for path in (_RENDERER, *sorted(_HERE.glob("*.js")), *_HERE.glob("*.css"))}
_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}

CLOSED_FOREIGN, CLOSED_UNKNOWN = 4403, 4404


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
        if not same_origin(socket):
            await socket.close(CLOSED_FOREIGN)
        elif avatar not in service.ids():
            await socket.close(CLOSED_UNKNOWN)
        else:
            await converse(socket, service, avatar)

    return routes


def same_origin(socket: WebSocket) -> bool:
    """Whether the page that opens the socket came from here. Browsers let any page open a socket to anywhere, so that
    without this a foreign page could look at somebody's face through a viewer on the same machine. Programs that are
    no browsers send no origin."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")
