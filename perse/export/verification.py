"""Verification of a file's provenance, whatever its format."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from perse.errors import InputError
from perse.export.c2pa_manifest import media_kind, read_manifest
from perse.export.certificate import local_chain
from perse.export.gltf import glb_chunks
from perse.export.provenance import KEY, Provenance
from perse.export.sog import sog_provenance
from perse.export.splat_readers import ply_header
from perse.export.spz import spz_provenance
from perse.export.usd import usd_provenance
from perse.export.watermark import find_mark
from perse.export.xmp import read_xmp

MAX_FILE_BYTES = 2 * 1024**3

_HTML_RECORD = re.compile(rb'<script type="application/json" id="provenance">(.{0,65536}?)</script>', re.S)


@dataclass(frozen=True)
class Verification:
    """Result of verifying a file.

    Attributes:
        provenance: our record, or None if the file carries none.
        signed: a signature binds the record to the media.
        intact: with a signature, whether it holds; without one, whether nothing contradicts itself.
        ours: signed by this installation.
        signer: the name in the certificate.
        source_type: the IPTC digital source type that the file states.
        problems: what does not hold.
        watermark: the pixels carry the mark of pictures that this program draws; it outlives lost metadata.
    """

    provenance: Provenance | None
    signed: bool = False
    intact: bool = False
    ours: bool = False
    signer: str = ""
    source_type: str = ""
    problems: tuple[str, ...] = ()
    watermark: bool = False


def sidecar(path: Path) -> Path:
    """Path of the record of a format without metadata."""
    return path.with_name(f"{path.name}.provenance.json")


def verify_file(path: Path, *, trusted: bytes | None = None) -> Verification:
    """Read the provenance of a PNG, JPEG, WebP, MP4, PLY, .splat, .spz, .sog, GLB, USD or HTML file.

    Args:
        trusted: PEM certificates that count as this installation's; by default those it signs with.

    Raises:
        InputError: the file cannot be read, or its record is damaged.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path.name} is larger than 2 GiB; no export is")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    if media_kind(data):
        found = _from_manifest(data, local_chain() if trusted is None else trusted)
        return replace(found, watermark=_is_marked(data))
    text = _stored_record(path, data)
    if text is None:
        return Verification(None)
    provenance = Provenance.from_json(text)
    return Verification(provenance, intact=True, source_type=provenance.source_type)


def _from_manifest(data: bytes, trusted: bytes | None) -> Verification:
    manifest = read_manifest(data, trusted)
    if manifest is None:
        stated = read_xmp(data)
        return Verification(stated, intact=stated is not None, source_type=stated.source_type if stated else "")
    return Verification(
        provenance=Provenance.from_record(manifest.record) if manifest.record is not None else None,
        signed=True,
        intact=manifest.intact,
        ours=manifest.ours,
        signer=manifest.signer,
        source_type=manifest.source_type,
        problems=manifest.problems,
    )


def _is_marked(data: bytes) -> bool:
    """Whether the picture, or the first one of a video, carries the mark."""
    import av

    try:
        if media_kind(data) == "mp4":
            with av.open(io.BytesIO(data), "r") as container:
                pixels = np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)
        else:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except (OSError, ValueError, SyntaxError, StopIteration, Image.DecompressionBombError):
        return False
    return find_mark(pixels).is_there


def _stored_record(path: Path, data: bytes) -> str | bytes | None:
    """The JSON of the record, from where the format keeps it."""
    if data[:3] == b"ply":
        lines = ply_header(data)[0].splitlines()
        return next((line.split(" ", 2)[2] for line in lines if line.startswith(f"comment {KEY} ")), None)
    if data[:4] == b"glTF":
        asset = glb_chunks(data)[0].get("asset")
        extras = asset.get("extras") if isinstance(asset, dict) else None
        return Provenance.from_record(extras[KEY]).to_json() if isinstance(extras, dict) and KEY in extras else None
    if data[:8] == b"PXR-USDC" or data[:5] == b"#usda":
        return usd_provenance(path)
    if data[:64].lstrip().lower().startswith(b"<!doctype html"):
        found = _HTML_RECORD.search(data)
        return found.group(1) if found else None
    if data[:2] == b"\x1f\x8b":
        return spz_provenance(data)
    if data[:2] == b"PK":
        return sog_provenance(data)
    if path.suffix == ".splat":
        return sidecar(path).read_bytes() if sidecar(path).exists() else None
    raise InputError(
        f"{path.name} is of no format that carries our provenance: PNG, JPEG, WebP, MP4, PLY, .splat, .spz, .sog, "
        "GLB, USD, HTML"
    )
