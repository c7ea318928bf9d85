"""Routes of the studio. Whatever the page does is one of them; who may ask, and how much, is `protection`'s work.

::

    GET    /studio, /studio/{file}                      the page
    GET    /v1/studio                                   recipes, categories, parts
    POST   /v1/studio/understand                        a wish in own words → what it comes to
    GET    /v1/studio/projects                          all of them
    POST   /v1/studio/projects?name=                    a photograph (the body) → a project
    GET    /v1/studio/projects/{id}                     one, whole
    DELETE /v1/studio/projects/{id}                     forget the person
    GET    /v1/studio/projects/{id}/pictures/{which}    photograph, crop, found, parts
    GET    /v1/studio/projects/{id}/edits/{key}         an edit
    GET    /v1/studio/projects/{id}/report              the report's page
    PUT    /v1/studio/projects/{id}/face                another face
    PUT    /v1/studio/projects/{id}/parts               painted corrections (the body, a PNG)
    PUT    /v1/studio/projects/{id}/consent             who consents, to what
    PUT    /v1/studio/projects/{id}/wishes              looks and recipe
    POST   /v1/studio/projects/{id}/build               build, or go on
    DELETE /v1/studio/projects/{id}/build               cancel
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, TypeVar

import anyio.to_thread
from fastapi import APIRouter, FastAPI, HTTPException, Path, Query, Request, Response

from perse.errors import InputError
from perse_ray.serving.http.checked_body import CheckedRoute
from perse_ray.serving.http.media_routes import AvatarId, refusals
from perse_ray.serving.viewer.page_files import HEADERS, page_files
from perse_ray.studio.project import NoSuchProject, NotNow
from perse_ray.studio.schema import (
    ConsentFields,
    FaceChoice,
    ProjectInfo,
    ProjectList,
    StudioInfo,
    UnderstoodInfo,
    Wishes,
    WishWords,
)
from perse_ray.studio.studio import Studio, understood

Answer = TypeVar("Answer")

_PAGE = FilePath(__file__).parent / "page"
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"

PHOTOGRAPHS = ("image/png", "image/jpeg", "image/webp", "image/avif", "application/octet-stream")
Picture = Literal["photograph", "crop", "found", "parts"]
EditKey = Annotated[str, Path(pattern="^[0-9a-f]{8,64}$", description="an edit's key")]
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/webp": {}, "image/png": {}}, "description": "the picture"}
}
BODY = {"requestBody": {"required": True, "content": {kind: {} for kind in PHOTOGRAPHS}}}


def add_studio(app: FastAPI, studio: Studio) -> None:
    """Put the studio into a service's application."""
    app.include_router(page_files("/studio", _PAGE))
    app.include_router(studio_routes(studio))


def studio_routes(studio: Studio) -> APIRouter:
    """Routes that the page asks."""
    routes = APIRouter(prefix="/v1/studio", responses=refusals(422, 503), route_class=CheckedRoute)

    @routes.get("")
    async def about() -> StudioInfo:
        """What can be chosen from."""
        return await _apart(studio.about)

    @routes.post("/understand", responses=refusals(413))
    async def understand(said: WishWords) -> UnderstoodInfo:
        """What a wish comes to in the vocabulary, and what it cannot say."""
        return await _apart(lambda: understood(said))

    @routes.get("/projects")
    async def projects() -> ProjectList:
        """All projects, the newest first."""
        return await _apart(studio.overview)

    @routes.post("/projects", status_code=201, responses=refusals(413), openapi_extra=BODY)
    async def create(
        request: Request, name: Annotated[str, Query(min_length=1, max_length=60, description="what people call it")]
    ) -> ProjectInfo:
        """A new project; the body is its photograph."""
        data = await _picture(request, PHOTOGRAPHS)
        return await _apart(lambda: studio.create(name.strip() or "avatar", data))

    one = APIRouter(prefix="/projects/{project}", responses=refusals(404), route_class=CheckedRoute)
    _add_views(one, studio)
    _add_answers(one, studio)
    _add_builds(one, studio)
    routes.include_router(one)
    return routes


def _add_views(one: APIRouter, studio: Studio) -> None:
    """Routes by which a project is looked at, and removed."""

    @one.get("")
    async def show(project: AvatarId) -> ProjectInfo:
        """Where a project stands, whole."""
        return await _apart(lambda: studio.show(project))

    @one.delete("", status_code=202)
    async def remove(project: AvatarId) -> ProjectInfo:
        """Forget the person: the workspace, models and runs go; what is left somewhere is told in the list."""
        return await _apart(lambda: studio.remove(project))

    @one.get("/pictures/{which}", response_class=Response, responses=FILE)
    async def picture(project: AvatarId, which: Picture) -> Response:
        """The photograph as it was understood, the crop, the parts that were found, and those that were painted."""
        data, kind = await _apart(lambda: studio.picture(project, which))
        return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})

    @one.get("/edits/{key}", response_class=Response, responses=FILE)
    async def edit(project: AvatarId, key: EditKey) -> Response:
        """A small picture of an edit."""
        data = await _apart(lambda: studio.edit_picture(project, key))
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})

    @one.get("/report", response_class=Response, responses={200: {"content": {"text/html": {}}}})
    async def report(project: AvatarId) -> Response:
        """The report's page."""
        page = await _apart(lambda: studio.report(project))
        headers = {**HEADERS, "Content-Security-Policy": _REPORT_POLICY}
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)


def _add_answers(one: APIRouter, studio: Studio) -> None:
    """Routes by which a person says what is meant and wanted."""

    @one.put("/face", responses=refusals(413))
    async def face(project: AvatarId, choice: FaceChoice) -> ProjectInfo:
        """Which face is meant; it is looked at again."""
        return await _apart(lambda: studio.choose_face(project, choice.face))

    @one.put("/parts", responses=refusals(413), openapi_extra=BODY)
    async def parts(project: AvatarId, request: Request) -> ProjectInfo:
        """Parts painted over, a PNG of the crop's size in the palette's colours, transparent where they are right."""
        data = await _picture(request, ("image/png",))
        return await _apart(lambda: studio.paint(project, data))

    @one.put("/consent", responses=refusals(413))
    async def consent(project: AvatarId, said: ConsentFields) -> ProjectInfo:
        """Who consents, to what, and until when."""
        return await _apart(lambda: studio.consent(project, said))

    @one.put("/wishes", responses=refusals(413))
    async def wishes(project: AvatarId, said: Wishes) -> ProjectInfo:
        """Which looks are made, and how."""
        return await _apart(lambda: studio.wish(project, said.recipe, said.wishes))


def _add_builds(one: APIRouter, studio: Studio) -> None:
    """Routes by which a build is begun and ended."""

    @one.post("/build", status_code=202)
    async def build(project: AvatarId) -> ProjectInfo:
        """Build the avatar, or what is missing of it, when its turn comes."""
        return await _apart(lambda: studio.build(project))

    @one.delete("/build", status_code=202)
    async def cancel(project: AvatarId) -> ProjectInfo:
        """Take the build out of the queue, or end it; what is finished is kept."""
        return await _apart(lambda: studio.cancel(project))


async def _apart(work: Callable[[], Answer]) -> Answer:
    """Work that touches disks, beside the event loop. What cannot be done is answered with 404 where it is nobody's,
    409 where it cannot be done now, and 422 where it is not understood."""
    try:
        return await anyio.to_thread.run_sync(work)
    except InputError as error:
        status = 404 if isinstance(error, NoSuchProject) else 409 if isinstance(error, NotNow) else 422
        raise HTTPException(status, " ".join(str(error).split())) from None


async def _picture(request: Request, kinds: tuple[str, ...]) -> bytes:
    """The body, if it says that it is a picture: a form of another site cannot say so."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise HTTPException(422, f"the body is a picture: its Content-Type is one of {', '.join(kinds)}")
    data = await request.body()
    if not data:
        raise HTTPException(422, "the picture is empty")
    return data
