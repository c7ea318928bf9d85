"""Tasks of an avatar: small values that travel to where the avatar is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from perse.errors import InputError
from perse_ray.serving.schema.errors import UnknownName
from perse_ray.serving.schema.media_requests import (
    AnimateRequest,
    BetweenMotion,
    NearSubject,
    UnderstoodAttribute,
)
from perse_ray.serving.schema.requests import Appearance, Attributes, RenderRequest

if TYPE_CHECKING:
    from perse.attributes import Category
    from perse.data.motion_file import Motion
    from perse.export import ExportFormat
    from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar, Resolved

Result_co = TypeVar("Result_co", covariant=True)


class Work(Protocol[Result_co]):
    """Task of an avatar. It is pickled, and may be done twice: it changes nothing but caches."""

    def __call__(self, avatar: LoadedAvatar) -> Result_co: ...


@dataclass(frozen=True)
class EncodedPictures:
    """Task: pictures as files; those of one size are drawn in one call."""

    requests: tuple[RenderRequest, ...]

    def __call__(self, avatar: LoadedAvatar) -> list[bytes]:
        return encoded(avatar, [avatar.resolve(request) for request in self.requests])


def encoded(avatar: LoadedAvatar, resolved: Sequence[Resolved]) -> list[bytes]:
    """Pictures as files; those of one size are drawn in one call."""
    from perse_ray.serving.drawing.picture_files import encode_picture

    # Undated, so that the same request gives the same bytes.
    return [
        encode_picture(picture, one.request, avatar.provenance([one], dated=False))
        for one, picture in zip(resolved, avatar.draw(resolved), strict=True)
    ]


@dataclass(frozen=True)
class Thumbnail:
    """Task: a small WebP of the person, or of one edit, named by its id."""

    subject: str
    size: int

    def __call__(self, avatar: LoadedAvatar) -> bytes:
        worn: Attributes = {}
        if self.subject:
            known = {subject.key: subject.category for subject in avatar.avatar.subjects}
            category = known.get(self.subject)
            if category is None:
                raise UnknownName("there is no such subject; GET …/attributes lists them")
            worn = {category: {self.subject: 1.0}}
        look = RenderRequest(attributes=worn, width=self.size, height=self.size, format="webp", quality=80)
        return EncodedPictures((look,))(avatar)[0]


NEAREST = 4
"""Subjects that are named as what was understood, of each category."""


@dataclass(frozen=True)
class Understand:
    """Task: what a sentence means for the avatar."""

    text: str

    def __call__(self, avatar: LoadedAvatar) -> list[UnderstoodAttribute]:
        from perse.viewing.sentences import clauses

        found = [self._understood(avatar, category, words) for category, words in clauses(self.text).items()]
        if not any(one.nearest or one.none for one in found):
            named = " and no ".join(one.category.value for one in found)
            raise UnknownName(f"this avatar has learned no {named} at all; nothing can be made up for it")
        return found

    def _understood(self, avatar: LoadedAvatar, category: Category, words: str) -> UnderstoodAttribute:
        from perse.synthesis.prompts import words_beyond
        from perse.viewing.sentences import NONE

        if words.lower().startswith(NONE):
            return UnderstoodAttribute(category=category, text=words, nearest=[], not_learned=[], none=True)
        learned = [subject.text for subject in avatar.avatar.subjects if subject.category is category]
        ranked = avatar.renderer.mixer.nearest(category, words) if learned else []
        nearest = [
            NearSubject(id=subject.key, text=subject.text, share=round(share, 3)) for subject, share in ranked[:NEAREST]
        ]
        beyond = words_beyond(category, words, learned)
        return UnderstoodAttribute(category=category, text=words, nearest=nearest, not_learned=beyond, none=False)


FRAMES_AT_ONCE = 8
"""Of a video, in one call of the rasterizer: single pictures of others get their turn in between."""


@dataclass(frozen=True)
class Animation:
    """Task: a video with a signed manifest."""

    request: AnimateRequest

    def __call__(self, avatar: LoadedAvatar) -> bytes:
        from perse.export import local_identity, marked, mp4_bytes, sign_media, webp_bytes
        from perse.export.poses import known_motion

        def known(name: str) -> Motion:
            card = avatar.avatar.card
            return known_motion(avatar.avatar, name).only(card.expression_names, card.joint_names)

        try:
            frames, fps = self.request.frames(known)
        except InputError as error:
            raise UnknownName(str(error)) from None
        resolved = [avatar.resolve(frame) for frame in frames]
        pictures = (
            marked(picture)
            for start in range(0, len(resolved), FRAMES_AT_ONCE)
            for picture in avatar.draw(resolved[start : start + FRAMES_AT_ONCE])
        )
        video = mp4_bytes(pictures, fps) if self.request.format == "mp4" else webp_bytes(list(pictures), fps)
        return sign_media(video, avatar.provenance(self._shown(avatar, resolved)), local_identity())

    def _shown(self, avatar: LoadedAvatar, frames: Sequence[Resolved]) -> list[Resolved]:
        """What the record is about: the ends of a glide, not every weight between them."""
        motion = self.request.motion
        if not isinstance(motion, BetweenMotion):
            return list(frames[:1])
        worn = (self.request.attributes, motion.start.attributes, motion.end.attributes)
        return [avatar.resolve(RenderRequest(attributes=attributes)) for attributes in worn]


@dataclass(frozen=True)
class SharedMotion:
    """Task: the motion that the avatar performs when nobody says what."""

    def __call__(self, avatar: LoadedAvatar) -> Motion:
        from perse.export.poses import shared_motion

        return shared_motion(avatar.avatar)


@dataclass(frozen=True)
class FileExport:
    """Task: a file for other programs."""

    look: Appearance
    format: ExportFormat

    def __call__(self, avatar: LoadedAvatar) -> bytes:
        return avatar.export(self.look, self.format)
