"""Tracked and edited portraits as one-row Parquet tables."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pyarrow as pa

from perse.attributes import Part
from perse.data.attachment import Attachment, Sheet
from perse.data.masks import PartMasks
from perse.data.portrait import EditedPortrait, TrackedPortrait, Underlay
from perse.data.tables.codecs import (
    arrays_to_npz,
    npz_to_arrays,
    picture_to_png,
    png_to_picture,
    png_to_stack,
    stack_to_png,
)
from perse.data.tables.geometry import bytes_to_camera, bytes_to_head, camera_to_bytes, head_to_bytes
from perse.data.tables.prompts import PAIRS, PROMPT_FIELDS, prompt_to_row, row_to_prompt

TRACKED = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("inside", pa.binary(), nullable=False),
        pa.field("landmarks_px", pa.binary(), nullable=False),
        pa.field("soft", pa.binary(), nullable=False),
        pa.field("person", pa.binary(), nullable=False),
        pa.field("head", pa.binary(), nullable=False),
        pa.field("camera", pa.binary(), nullable=False),
        pa.field("face_width_px", pa.float64(), nullable=False),
        pa.field("fit_rms_px", pa.float64(), nullable=False),
    ]
)

EDITS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        *PROMPT_FIELDS,
        pa.field("image", pa.binary(), nullable=False),
        pa.field("soft", pa.binary(), nullable=False),
        pa.field("person", pa.binary(), nullable=False),
        pa.field("edit_mask", pa.binary(), nullable=False),
        pa.field("attachments", pa.list_(pa.binary()), nullable=False),
        pa.field("underlay_image", pa.binary()),
        pa.field("underlay_soft", pa.binary()),
        pa.field("underlay_person", pa.binary()),
        pa.field("provenance", PAIRS, nullable=False),
    ]
)
"""Pictures and masks are PNG, attachments NPZ; the underlay is null exactly when there are no attachments."""


def tracked_to_table(portrait: TrackedPortrait) -> pa.Table:
    """The tracked photograph as one row."""
    row = {
        "key": portrait.key,
        "image": picture_to_png(portrait.image),
        "inside": picture_to_png(portrait.inside),
        "landmarks_px": arrays_to_npz({"landmarks_px": portrait.landmarks_px}),
        "soft": stack_to_png(portrait.masks.soft),
        "person": picture_to_png(portrait.masks.person),
        "head": head_to_bytes(portrait.head),
        "camera": camera_to_bytes(portrait.camera),
        "face_width_px": portrait.face_width_px,
        "fit_rms_px": portrait.fit_rms_px,
    }
    return pa.Table.from_pylist([row], TRACKED)


def table_to_tracked(table: pa.Table) -> TrackedPortrait:
    """The inverse of `tracked_to_table`."""
    row = table.to_pylist()[0]
    return TrackedPortrait(
        key=row["key"],
        image=png_to_picture(row["image"]),
        inside=png_to_picture(row["inside"]),
        landmarks_px=npz_to_arrays(row["landmarks_px"])["landmarks_px"].astype(np.float32),
        masks=_masks(row["soft"], row["person"]),
        head=bytes_to_head(row["head"]),
        camera=bytes_to_camera(row["camera"]),
        face_width_px=row["face_width_px"],
        fit_rms_px=row["fit_rms_px"],
    )


def edit_to_table(edited: EditedPortrait) -> pa.Table:
    """An edited portrait with its geometry as one row."""
    under = edited.underlay
    row = {
        "key": edited.key,
        **prompt_to_row(edited.prompt),
        "image": picture_to_png(edited.image),
        "soft": stack_to_png(edited.masks.soft),
        "person": picture_to_png(edited.masks.person),
        "edit_mask": picture_to_png(edited.edit_mask),
        "attachments": [attachment_to_bytes(attachment) for attachment in edited.attachments],
        "underlay_image": None if under is None else picture_to_png(under.image),
        "underlay_soft": None if under is None else stack_to_png(under.masks.soft),
        "underlay_person": None if under is None else picture_to_png(under.masks.person),
        "provenance": list(edited.provenance),
    }
    return pa.Table.from_pylist([row], EDITS)


def table_to_edit(table: pa.Table) -> EditedPortrait:
    """The inverse of `edit_to_table`."""
    row = table.to_pylist()[0]
    underlay = None
    if row["underlay_image"] is not None:
        masks = _masks(row["underlay_soft"], row["underlay_person"])
        underlay = Underlay(png_to_picture(row["underlay_image"]), masks)
    return EditedPortrait(
        key=row["key"],
        prompt=row_to_prompt(row),
        image=png_to_picture(row["image"]),
        masks=_masks(row["soft"], row["person"]),
        edit_mask=png_to_picture(row["edit_mask"]),
        attachments=tuple(bytes_to_attachment(encoded) for encoded in row["attachments"]),
        underlay=underlay,
        provenance=tuple((str(name), str(value)) for name, value in row["provenance"]),
    )


def attachment_to_bytes(attachment: Attachment) -> bytes:
    """A textured mesh as NPZ bytes; its plain fields travel as a JSON string."""
    values = {f.name: getattr(attachment, f.name) for f in fields(Attachment)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in values.items() if name not in arrays}
    plain["sheets"] = [asdict(sheet) for sheet in attachment.sheets]
    return arrays_to_npz({**arrays, "plain": np.frombuffer(json.dumps(plain).encode(), np.uint8)})


def bytes_to_attachment(encoded: bytes) -> Attachment:
    """The inverse of `attachment_to_bytes`; of one that was written before sheets were kept, none are known."""
    arrays = npz_to_arrays(encoded)
    plain = json.loads(arrays.pop("plain").tobytes())
    sheets = tuple(_sheet(one) for one in plain.get("sheets", ()))
    return Attachment(**arrays, **{**plain, "part": Part(plain["part"]), "sheets": sheets})  # type: ignore[arg-type]


def _sheet(value: dict[str, Any]) -> Sheet:
    plain: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in value.items()}
    return Sheet(**plain)


def _masks(soft: bytes, person: bytes) -> PartMasks:
    return PartMasks(png_to_stack(soft, len(Part)), png_to_picture(person))
