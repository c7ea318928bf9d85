"""From what a request says about attributes to a latent code: named subjects, described ones, and their weights."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar
from perse.avatar.zero_shot import made_by, zero_shot_code
from perse.data.images import read_portrait_bytes
from perse.errors import InputError, PortraitError
from perse.export.edits import find_subject
from perse.export.provenance import Edit
from perse.features import PromptImageEncoder
from perse_ray.serving.drawing.encoders import Encoders
from perse_ray.serving.drawing.picture_framing import framed
from perse_ray.serving.schema.errors import UnknownName
from perse_ray.serving.schema.requests import Attributes, Description, terms

CACHED_DESCRIPTIONS = 64


class Wardrobe:
    """What an avatar can wear. Its methods may be called from several threads."""

    def __init__(self, avatar: Avatar, encoders: Encoders) -> None:
        """
        Args:
            encoders: for descriptions; they are refused where the one that the avatar was trained with is not there.
        """
        self._avatar = avatar
        self._encoders = encoders
        self._encoder: PromptImageEncoder | None = None
        self._codes = avatar.subject_codes().detach()
        self._rows = {subject.key: row for row, subject in enumerate(avatar.subjects)}
        self._described: OrderedDict[tuple[Category, str | None, bytes], Tensor] = OrderedDict()

    def code(self, attributes: Attributes) -> Tensor:
        """z [k, d]: in each named category z_ref + Σ w (z_term − z_ref), elsewhere z_ref (Eq. 4, 13).

        Raises:
            UnknownName: a subject is not known, several answer to its words, or a description cannot be understood.
        """
        reference = self._avatar.latents.reference.detach()
        code = reference.clone()
        for category, attribute in attributes.items():
            k = category.index
            for term in terms(attribute):
                if isinstance(term, Description):
                    code[k] += term.weight * (self._imagined(category, term) - reference[k])
                    continue
                for words, weight in term.items():
                    code[k] += weight * (self._codes[self._row(category, words), k] - reference[k])
        return code

    def edits(self, attributes: Attributes) -> Iterator[Edit]:
        """What differs from the portrait, for the record.

        Raises:
            UnknownName: as `code`.
        """
        for category, attribute in attributes.items():
            for term in terms(attribute):
                if isinstance(term, Description):
                    yield Edit(category.value, "described", term.text or "by a picture", round(term.weight, 4))
                    continue
                for words, weight in term.items():
                    subject = self._avatar.subjects[self._row(category, words)]
                    yield Edit(category.value, subject.key, subject.text, round(weight, 4))

    def _row(self, category: Category, words: str) -> int:
        try:
            return self._rows[find_subject(self._avatar, category, words).key]
        except InputError as error:
            raise UnknownName(str(error)) from None

    def _imagined(self, category: Category, wanted: Description) -> Tensor:
        """z_k [d] of a description (Eq. 5)."""
        picture = wanted.picture() or b""
        key = (category, wanted.text, hashlib.sha256(picture).digest())
        code = self._described.get(key)
        if code is None:
            code = self._described[key] = self._encoded(category, wanted.text, picture)
            if len(self._described) > CACHED_DESCRIPTIONS:
                self._described.popitem(last=False)
        return code

    def _encoded(self, category: Category, text: str | None, picture: bytes) -> Tensor:
        encoder = self._checked_encoder()
        try:
            image = framed(read_portrait_bytes(picture, name="image")) if picture else np.zeros((8, 8, 3), np.uint8)
            features = encoder.encode(image[None], [text or ""])
            return zero_shot_code(
                self._avatar,
                category,
                image=features.image[0] if picture else None,
                text=features.text[0] if text is not None else None,
            )
        except (InputError, PortraitError) as error:
            raise UnknownName(str(error)) from None

    def _checked_encoder(self) -> PromptImageEncoder:
        """The avatar's own encoder, told by its name and by what it makes of the prompts."""
        if self._encoder is None:
            encoder = self._encoders.named(self._avatar.card.encoder)
            blank = np.zeros((len(self._avatar.subjects), 8, 8, 3), np.uint8)
            texts = encoder.encode(blank, [subject.text for subject in self._avatar.subjects]).text
            if not made_by(self._avatar, texts):
                raise UnknownName("this avatar was trained with other weights; name subjects, do not describe them")
            self._encoder = encoder
        return self._encoder
