"""Provenance of a file: that it is computed, of whom, and how it was edited.

Pictures and videos carry a signed C2PA manifest (`perse.export.c2pa_manifest`). The formats for Gaussians have no
standard for one, so there the same record lies in the format's own place for metadata, unsigned: it informs whoever
wants to know and stops nobody who wants to remove it.

=================  =====================================================
PNG JPEG WebP MP4  C2PA manifest, assertion ``perse.provenance``, signed
PNG JPEG WebP      of the render service: an XMP packet, unsigned
PLY                a ``comment`` line in the header
.splat             a file beside it, ``<name>.provenance.json``; the format has no header
.spz               the comment of the gzip member
.sog               ``asset`` of its meta.json
GLB                ``asset.extras``
USD                ``customLayerData`` of the root layer
HTML               ``<script type="application/json" id="provenance">``
=================  =====================================================
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from perse.avatar import Avatar
from perse.data.strangers_json import check_writable, value_of_json
from perse.errors import InputError
from perse.export.edits import Mix

GENERATOR = "PERSE on Ray"
VERSION = "0.1.0"
KEY = "perse-provenance"
"""Under this name the record is found in formats that name their metadata."""

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media made by a trained algorithm; C2PA asks for one of these terms."""

STATEMENT = "Synthetic media: drawn by an avatar that was trained on pictures generated from one portrait."

MAX_RECORD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Edit:
    """Difference from the portrait in one attribute."""

    category: str
    subject: str
    text: str
    weight: float


@dataclass(frozen=True)
class Provenance:
    """Origin of a file.

    Attributes:
        avatar: identity key of the portrait.
        edits: what differs from the portrait; empty for the person as photographed.
        made: when, ISO 8601; empty if nobody said.
        statement: one sentence for people.
        source_type: an IPTC digital source type.
        generator: the program.
    """

    avatar: str
    edits: tuple[Edit, ...] = ()
    made: str = ""
    statement: str = STATEMENT
    source_type: str = SOURCE_TYPE
    generator: str = f"{GENERATOR} {VERSION}"

    @classmethod
    def of(cls, avatar: Avatar, mixes: Sequence[Mix], made: str = "") -> Provenance:
        """The record of media that show these edit states of an avatar."""
        texts = {subject.key: subject.text for subject in avatar.subjects}
        edits = {
            Edit(category.value, key, texts.get(key, ""), round(float(weight), 4))
            for mix in mixes
            for category, weights in mix.items()
            for key, weight in weights.items()
        }
        ordered = sorted(edits, key=lambda edit: (edit.category, edit.subject, edit.weight))
        return cls(avatar.card.key, tuple(ordered), made)

    def record(self) -> dict[str, Any]:
        """Record as plain values, for JSON."""
        return asdict(self) | {"edits": [asdict(edit) for edit in self.edits]}

    def to_json(self) -> str:
        """Record as one line of ASCII."""
        return json.dumps(self.record(), sort_keys=True, ensure_ascii=True)

    @classmethod
    def from_record(cls, value: object) -> Provenance:
        """Read a record that may come from anywhere.

        Raises:
            InputError: it is not one of ours.
        """
        try:
            assert isinstance(value, dict)
            check_writable(value)
            edits = tuple(
                Edit(str(e["category"]), str(e["subject"]), str(e["text"]), float(e["weight"])) for e in value["edits"]
            )
            others = {f.name: str(value[f.name]) for f in fields(cls) if f.name != "edits"}
        except (AssertionError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise InputError("the file's provenance record is damaged or of another program") from None
        return cls(edits=edits, **others)

    @classmethod
    def from_json(cls, text: str | bytes) -> Provenance:
        """Record of a file's provenance.

        Raises:
            InputError: it is not a record of ours.
        """
        if len(text) > MAX_RECORD_BYTES:
            raise InputError("the file's provenance record is longer than any of ours")
        try:
            value = value_of_json(text)
        except ValueError:
            raise InputError("the file's provenance record is not JSON") from None
        return cls.from_record(value)
