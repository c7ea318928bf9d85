"""Files of a page: HTML, scripts and styles, from nowhere but here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


def page_files(address: str, folder: Path, others: Iterable[Path] = ()) -> APIRouter:
    """Routes of a page.

    Args:
        address: such as ``/view``, where the page is and below which its files are.
        folder: of its ``index.html`` and of its scripts and styles.
        others: scripts that lie elsewhere.
    """
    routes = APIRouter()
    files = {path.name: path for path in (*others, *sorted(folder.iterdir())) if path.suffix in _KINDS}

    @routes.get(address, include_in_schema=False)
    async def page() -> Response:
        html = (folder / "index.html").read_bytes()
        return Response(html, media_type="text/html; charset=utf-8", headers=HEADERS)

    @routes.get(f"{address}/{{name}}", include_in_schema=False)
    async def file(name: str) -> Response:
        path = files.get(name)
        if path is None:
            raise HTTPException(404, "the page has no such file")
        return Response(path.read_bytes(), media_type=_KINDS[path.suffix], headers=HEADERS)

    return routes
