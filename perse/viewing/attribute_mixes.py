"""Latent codes of edits: named subjects, described ones, and their weights."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
from jaxtyping import Float
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, Subject
from perse.avatar.zero_shot import made_by, subject_shares, zero_shot_code
from perse.data.images import read_portrait_bytes
from perse.errors import InputError, PortraitError, UnknownName
from perse.export.edits import find_subject
from perse.export.provenance import Edit
from perse.features import PromptImageEncoder
from perse.viewing.encoders import Encoders
from perse.viewing.looks import Described, Edits
from perse.viewing.picture_framing import framed

CACHED_DESCRIPTIONS = 64


class AttributeMixer:
    """Mixer of latent codes for what an avatar can look like. Its methods may be called from several threads."""

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

    def mixed(self, edits: Edits) -> tuple[Float[Tensor, "k d"], tuple[Edit, ...]]:
        """Code z [k, d], and for the record what differs from the portrait.

        In each named category z is z_ref + Σ w (z_term − z_ref), elsewhere z_ref (Eq. 4, 13).

        Raises:
            UnknownName: a subject is not known, several answer to its words, or a description cannot be understood.
        """
        reference = self._avatar.latents.reference.detach()
        code = reference.clone()
        record = []
        for category, terms in edits.items():
            k = category.index
            for term in terms:
                if isinstance(term, Described):
                    own, name, text = self._imagined(category, term), "described", term.text or "by a picture"
                else:
                    subject = self._found(category, term.words)
                    own, name, text = self._codes[self._rows[subject.key], k], subject.key, subject.text
                code[k] += term.weight * (own - reference[k])
                record.append(Edit(category.value, name, text, round(term.weight, 4)))
        return code, tuple(record)

    def nearest(self, category: Category, text: str) -> list[tuple[Subject, float]]:
        """Subjects of the category by how much they resemble a description, the nearest first; shares sum to one.

        Raises:
            UnknownName: the description cannot be understood.
        """
        encoder = self._checked_encoder()
        try:
            features = encoder.encode(np.zeros((1, 8, 8, 3), np.uint8), [text])
            shares = subject_shares(self._avatar, category, image=None, text=features.text[0])
        except InputError as error:
            raise UnknownName(str(error)) from None
        own = [subject for subject in self._avatar.subjects if subject.category is category]
        return sorted(zip(own, shares.tolist(), strict=True), key=lambda one: -one[1])

    def _found(self, category: Category, words: str) -> Subject:
        try:
            return find_subject(self._avatar, category, words)
        except InputError as error:
            raise UnknownName(str(error)) from None

    def _imagined(self, category: Category, wanted: Described) -> Float[Tensor, " d"]:
        """z_k [d] of a description (Eq. 5)."""
        picture = wanted.picture or b""
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
