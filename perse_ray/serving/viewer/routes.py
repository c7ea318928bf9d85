"""Routes of the viewer.

::

    GET  /                              to the page
    GET  /view                          the page
    GET  /view/{file}                   what it is made of; nothing comes from anywhere else
    WS   /v1/avatars/{id}/splats        looks in, Gaussians out; see view_socket.py
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response, WebSocket
from fastapi.responses import RedirectResponse

import perse.export
from perse_ray.serving.library.service import AvatarService
from perse_ray.serving.viewer.page_files import page_files
from perse_ray.serving.viewer.socket import converse

_PAGE = Path(__file__).parent / "page"
_RENDERER = Path(perse.export.__file__).with_name("splats.js")

CLOSED_UNKNOWN = 4404


def view_routes(service: AvatarService) -> APIRouter:
    """Routes of the viewer of a service's avatars."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def home() -> Response:
        return RedirectResponse("view")

    routes.include_router(page_files("/view", _PAGE, [_RENDERER]))

    @routes.websocket("/v1/avatars/{avatar}/splats")
    async def splats(socket: WebSocket, avatar: str) -> None:
        # Any page may open a socket to anywhere; that only ours gets this far is `protection.authentication`'s work.
        if avatar in service.ids():
            await converse(socket, service, avatar)
        else:
            await socket.close(CLOSED_UNKNOWN)

    return routes
