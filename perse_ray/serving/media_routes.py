"""Routes beyond a single picture.

::

    POST /v1/avatars/{id}/frames                     several pictures            base64 in JSON
    POST /v1/avatars/{id}/animate                    a motion                    MP4 or WebP, signed
    GET  /v1/avatars/{id}/attributes                 the edit space
    GET  /v1/avatars/{id}/thumbnail?subject=         a small picture             WebP
    GET  /v1/avatars/{id}/export?format=&look=       a file for other programs

All of them are made of `AvatarLibrary.render` and `.export`, and run beside the event loop.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, get_args
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import ValidationError

from perse.attributes import CATEGORIES, Category
from perse.export.formats import MEDIA_TYPES, SUFFIXES, ExportFormat
from perse_ray.serving.loaded_avatar import AvatarLibrary
from perse_ray.serving.media_requests import (
    AnimateRequest,
    BetweenMotion,
    EditSpace,
    EditSpaceSubject,
    FramesAnswer,
    FramesRequest,
)
from perse_ray.serving.requests import Appearance, Mix, RenderRequest, encode_picture

if TYPE_CHECKING:
    from perse.data.motion_file import Motion
    from perse.export import Provenance

THUMBNAIL_PX = 96

InTurn = Callable[[str, Callable[[], Any]], Awaitable[Any]]
"""Runs work on a known avatar when it is its turn; 404, 422 and 503 are its business."""

VIDEO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/mp4": {}, "image/webp": {}}, "description": "the video, with a C2PA manifest"}
}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()}, "description": "the file"}
}
SMALL: dict[int | str, dict[str, Any]] = {200: {"content": {"image/webp": {}}, "description": "the picture"}}


def media_routes(library: AvatarLibrary, in_turn: InTurn) -> APIRouter:
    """The routes over a library."""
    routes = APIRouter(prefix="/v1/avatars/{avatar}")

    @routes.post("/frames")
    async def frames(avatar: str, request: FramesRequest) -> FramesAnswer:
        """Several pictures in one request."""

        def work() -> list[str]:
            pictures = (encode_picture(library.render(avatar, frame), frame) for frame in request.frames)
            return [base64.b64encode(picture).decode("ascii") for picture in pictures]

        return FramesAnswer(media_type=f"image/{request.frames[0].format}", frames=await in_turn(avatar, work))

    @routes.post("/animate", response_class=Response, responses=VIDEO)
    async def animate(avatar: str, request: AnimateRequest) -> Response:
        """A video: a motion that is named, uploaded, or given by its start and end."""
        video = await in_turn(avatar, lambda: animated(library, avatar, request))
        kind = "video/mp4" if request.format == "mp4" else "image/webp"
        return Response(video, media_type=kind, headers={"Cache-Control": "no-store"})

    @routes.get("/attributes")
    async def attributes(avatar: str) -> EditSpace:
        """What the avatar can be made to look like."""
        space: EditSpace = await in_turn(avatar, lambda: edit_space(library, avatar))
        return space

    @routes.get("/thumbnail", response_class=Response, responses=SMALL)
    async def thumbnail(
        avatar: str,
        subject: Annotated[str, Query(max_length=100, description="an edit; none is the person as photographed")] = "",
        size: Annotated[int, Query(ge=16, le=256)] = THUMBNAIL_PX,
    ) -> Response:
        """A small picture of the person, or of one edit."""

        def work() -> bytes:
            look = RenderRequest(
                attributes=_worn(library, avatar, subject), width=size, height=size, format="webp", quality=80
            )
            return encode_picture(library.render(avatar, look), look)

        return Response(await in_turn(avatar, work), media_type="image/webp")

    @routes.get("/export", response_class=Response, responses=FILE)
    async def export(
        avatar: str,
        format: Annotated[ExportFormat, Query(description=f"one of {', '.join(get_args(ExportFormat))}")] = "ply",
        look: Annotated[
            str, Query(max_length=4000, description='JSON as in a render request: {"attributes": {…}, "pose": {…}}')
        ] = "{}",
    ) -> Response:
        """The avatar with a look, for other programs."""
        try:
            wanted = Appearance.model_validate_json(look)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(str(step) for step in problem["loc"])[:100]
            raise HTTPException(422, f"look.{place}: {problem['msg']}"[:300]) from None
        data = await in_turn(avatar, lambda: library.export(avatar, wanted, format))
        name = quote(f"{avatar}{SUFFIXES[format]}")
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(data, media_type=MEDIA_TYPES[format], headers=headers)

    return routes


def animated(library: AvatarLibrary, avatar: str, request: AnimateRequest) -> bytes:
    """The signed video of a request."""
    from perse.export import local_identity, mp4_bytes, sign_media, webp_bytes
    from perse.export.poses import built_in_motion

    def shared() -> Motion:
        info = library.info(avatar)
        return built_in_motion().only(info.expressions, info.joints)

    frames, fps = request.frames(shared)
    pictures = (library.render(avatar, frame) for frame in frames)
    video = mp4_bytes(pictures, fps) if request.format == "mp4" else webp_bytes(list(pictures), fps)
    mixes = [request.attributes]
    if isinstance(request.motion, BetweenMotion):
        mixes += [request.motion.start.attributes, request.motion.end.attributes]
    return sign_media(video, _provenance(library, avatar, mixes), local_identity())


def edit_space(library: AvatarLibrary, avatar: str) -> EditSpace:
    """The subjects by category, with where to see them."""
    address = f"/v1/avatars/{quote(avatar)}/thumbnail"
    subjects = library.info(avatar).subjects
    categories = {
        category: [
            EditSpaceSubject(**subject.model_dump(), thumbnail=f"{address}?subject={quote(subject.id)}")
            for subject in subjects
            if subject.category is category
        ]
        for category in CATEGORIES
    }
    return EditSpace(id=avatar, neutral=address, categories=categories)


def _worn(library: AvatarLibrary, avatar: str, subject: str) -> Mix:
    """The mix of a single edit, whatever its category."""
    if not subject:
        return {}
    for known in library.info(avatar).subjects:
        if known.id == subject:
            return {known.category: {subject: 1.0}}
    raise HTTPException(404, "there is no such subject; GET …/attributes lists them")


def _provenance(library: AvatarLibrary, avatar: str, mixes: list[Mix]) -> Provenance:
    from datetime import UTC, datetime

    from perse.export import Edit, Provenance

    info = library.info(avatar)
    texts = {subject.id: subject.text for subject in info.subjects}
    weights: dict[tuple[Category, str], float] = {}
    for mix in mixes:
        for category, subjects in mix.items():
            for subject, weight in subjects.items():
                weights[category, subject] = max(weight, weights.get((category, subject), weight))
    edits = tuple(
        Edit(category.value, subject, texts.get(subject, ""), round(weight, 4))
        for (category, subject), weight in sorted(weights.items())
    )
    return Provenance(info.identity, edits, datetime.now(UTC).isoformat(timespec="seconds"))
