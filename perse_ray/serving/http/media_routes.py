"""Routes beyond a single picture.

::

    POST /v1/avatars/{id}/frames                     several pictures            base64 in JSON
    POST /v1/avatars/{id}/animate                    a motion                    MP4 or WebP, signed
    GET  /v1/avatars/{id}/attributes                 the edit space
    POST /v1/avatars/{id}/describe                   words → what they mean      JSON
    GET  /v1/avatars/{id}/thumbnail?subject=         a small picture             WebP
    GET  /v1/avatars/{id}/export?format=&look=       a file for other programs
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, get_args
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from perse.attributes import CATEGORIES
from perse.export.formats import MEDIA_TYPES, SUFFIXES, ExportFormat
from perse_ray.serving.drawing.tasks import Animation, EncodedPictures, FileExport, Thumbnail, Understand
from perse_ray.serving.http.checked_body import CheckedRoute
from perse_ray.serving.library.service import AvatarService
from perse_ray.serving.schema.media_requests import (
    AnimateRequest,
    DescribeRequest,
    EditSpace,
    EditSpaceSubject,
    FramesAnswer,
    FramesRequest,
    UnderstoodAttribute,
)
from perse_ray.serving.schema.requests import AVATAR_ID, Appearance, AvatarInfo, explained

THUMBNAIL_PX = 96

AvatarId = Annotated[
    str, Path(pattern=f"^{AVATAR_ID.pattern}$", description="an avatar's id", examples=["me"])
]  # fmt: skip
"""Looked up in a table; never a path."""


class Refusal(BaseModel):
    """Reason why a request was not answered."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"detail": "there is no hat 'zebra'; choose among: 8c00708e A person in …"}]}
    )

    detail: str


_REASONS = {
    404: "there is nothing of that name",
    409: "this cannot be done in the state that things are in",
    413: "the body is too large",
    422: "the request is not understood, or names something that the avatar does not have",
    503: "nobody can do it now; ask again after Retry-After seconds",
    504: "the answer would come too late",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its description."""
    return {status: {"model": Refusal, "description": _REASONS[status]} for status in statuses}


USUAL = refusals(404, 422, 503, 504)
VIDEO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/mp4": {}, "image/webp": {}}, "description": "the video, with a C2PA manifest"}
}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()}, "description": "the file"}
}
SMALL: dict[int | str, dict[str, Any]] = {200: {"content": {"image/webp": {}}, "description": "the picture"}}


def media_routes(library: AvatarService) -> APIRouter:
    """Routes over a library."""
    routes = APIRouter(prefix="/v1/avatars/{avatar}", responses=USUAL, route_class=CheckedRoute)

    @routes.post("/frames", responses=refusals(413))
    async def frames(avatar: AvatarId, request: FramesRequest) -> FramesAnswer:
        """Several pictures in one request; those of one size are drawn together."""
        pictures = await library.run(avatar, EncodedPictures(tuple(request.frames)))
        encoded = [base64.b64encode(picture).decode("ascii") for picture in pictures]
        return FramesAnswer(media_type=f"image/{request.frames[0].format}", frames=encoded)

    @routes.post("/animate", response_class=Response, responses=VIDEO | refusals(413))
    async def animate(avatar: AvatarId, request: AnimateRequest) -> Response:
        """A video: a motion that is named, uploaded, or given by its start and end."""
        video = await library.run(avatar, Animation(request))
        kind = "video/mp4" if request.format == "mp4" else "image/webp"
        return Response(video, media_type=kind, headers={"Cache-Control": "no-store"})

    @routes.get("/attributes")
    async def attributes(avatar: AvatarId) -> EditSpace:
        """What the avatar can be made to look like."""
        return edit_space(await library.info(avatar))

    @routes.post("/describe", responses=refusals(413))
    async def describe(avatar: AvatarId, request: DescribeRequest) -> list[UnderstoodAttribute]:
        """What a sentence means for the avatar: the categories that it names, and the learned edits nearest to each."""
        return await library.run(avatar, Understand(request.text))

    @routes.get("/thumbnail", response_class=Response, responses=SMALL)
    async def thumbnail(
        avatar: AvatarId,
        subject: Annotated[
            str, Query(max_length=100, description="an edit's id; none is the person as photographed")
        ] = "",
        size: Annotated[int, Query(ge=16, le=256, description="pixels a side")] = THUMBNAIL_PX,
    ) -> Response:
        """A small picture of the person, or of one edit."""
        return Response(await library.run(avatar, Thumbnail(subject, size)), media_type="image/webp")

    @routes.get("/export", response_class=Response, responses=FILE)
    async def export(
        avatar: AvatarId,
        format: Annotated[ExportFormat, Query(description=f"one of {', '.join(get_args(ExportFormat))}")] = "ply",
        look: Annotated[
            str,
            Query(
                max_length=4000,
                description='JSON as in a render request: {"attributes": {…}, "pose": {…}}',
                examples=['{"attributes": {"hat": {"beanie": 1}}}'],
            ),
        ] = "{}",
    ) -> Response:
        """The avatar with a look, for other programs."""
        data = await library.run(avatar, FileExport(_look(look), format))
        name = quote(f"{avatar}{SUFFIXES[format]}")
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(data, media_type=MEDIA_TYPES[format], headers=headers)

    return routes


def _look(text: str) -> Appearance:
    try:
        return Appearance.model_validate_json(text)
    except ValidationError as error:
        raise HTTPException(422, f"look.{explained(error.errors()[0])}") from None


def edit_space(info: AvatarInfo) -> EditSpace:
    """The subjects by category, with where to see them."""
    address = f"/v1/avatars/{quote(info.id)}/thumbnail"
    categories = {
        category: [
            EditSpaceSubject(**subject.model_dump(), thumbnail=f"{address}?subject={quote(subject.id)}")
            for subject in info.subjects
            if subject.category is category
        ]
        for category in CATEGORIES
    }
    return EditSpace(id=info.id, neutral=address, categories=categories)
