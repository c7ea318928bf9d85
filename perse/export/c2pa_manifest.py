"""C2PA manifests on pictures and videos: signed, bound to the bytes, readable by any C2PA tool.

The manifest says that the media was created by a trained algorithm (IPTC) and carries our record as the assertion
``perse.provenance``. Nothing is fetched from the network, when signing or when reading: no time stamps, no revocation
lists, no remote manifests.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perse.errors import InputError, MissingWeightsError
from perse.export.certificate import SigningIdentity
from perse.export.provenance import GENERATOR, VERSION, Provenance

if TYPE_CHECKING:
    import c2pa

ASSERTION = "perse.provenance"
MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}


@dataclass(frozen=True)
class Manifest:
    """Contents of a C2PA manifest.

    Attributes:
        intact: the signature holds and the media was not altered since.
        ours: signed with a certificate of this installation.
        signer: the name in the certificate, whatever that is worth.
        source_type: the IPTC digital source type, if one is stated.
        record: the value of our assertion, if there is one.
        problems: what does not hold, in the library's codes.
    """

    intact: bool
    ours: bool
    signer: str
    source_type: str
    record: Any
    problems: tuple[str, ...]


def media_kind(data: bytes) -> str | None:
    """png, jpeg, webp or mp4 by the first bytes; None for anything else."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return "mp4" if data[4:8] == b"ftyp" else None


def sign_media(data: bytes, provenance: Provenance, identity: SigningIdentity) -> bytes:
    """The same picture or video with a manifest inside; pixels are not touched.

    Args:
        data: PNG, JPEG, WebP or MP4.

    Raises:
        InputError: another format, or an identity that cannot sign.
        MissingWeightsError: the package c2pa-python is not installed.
    """
    kind = media_kind(data)
    if kind is None:
        raise InputError("only PNG, JPEG, WebP and MP4 can be signed")
    library = _library()
    actions = [{"action": "c2pa.created", "digitalSourceType": provenance.source_type}]
    manifest = {
        "claim_generator_info": [{"name": GENERATOR, "version": VERSION}],
        "title": provenance.statement,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": actions}},
            {"label": ASSERTION, "data": provenance.record()},
        ],
    }
    signed = io.BytesIO()
    try:
        information = library.C2paSignerInfo(b"es256", identity.chain, identity.key, None)
        with library.Signer.from_info(information) as signer, _context(library, None) as context:
            library.Builder.from_json(json.dumps(manifest), context).sign(
                signer, MEDIA_TYPES[kind], io.BytesIO(data), signed
            )
    except library.C2paError as error:
        raise InputError(f"the {kind} could not be signed: {str(error)[:200]}") from None
    return signed.getvalue()


def read_manifest(data: bytes, trusted: bytes | None = None) -> Manifest | None:
    """The manifest of a picture or video, or None if it has none.

    Args:
        trusted: PEM certificates whose signatures count as ours.

    Raises:
        InputError: the media or its manifest cannot be read.
        MissingWeightsError: the package c2pa-python is not installed.
    """
    kind = media_kind(data)
    if kind is None:
        raise InputError("only PNG, JPEG, WebP and MP4 carry manifests")
    library = _library()
    try:
        with _context(library, trusted) as context:
            reader = library.Reader.try_create(MEDIA_TYPES[kind], io.BytesIO(data), context=context)
            if reader is None:
                return None
            with reader:
                return _summary(json.loads(reader.json()))
    except library.C2paError as error:
        raise InputError(f"the manifest of this {kind} cannot be read: {str(error)[:200]}") from None


def _summary(store: dict[str, Any]) -> Manifest:
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    record, source_type = None, ""
    for assertion in active.get("assertions", []):
        if assertion.get("label") == ASSERTION:
            record = assertion.get("data")
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            kinds = [action.get("digitalSourceType", "") for action in assertion["data"].get("actions", [])]
            source_type = next((kind for kind in kinds if kind), source_type)
    signature = active.get("signature_info", {})
    results = store.get("validation_results", {}).get("activeManifest", {})
    problems = tuple(str(failure.get("code")) for failure in results.get("failure", []))
    state = store.get("validation_state")
    return Manifest(
        intact=state in ("Valid", "Trusted"),
        ours=state == "Trusted",
        signer=str(signature.get("issuer", "")),
        source_type=source_type,
        record=record,
        problems=problems,
    )


def _context(library: Any, trusted: bytes | None) -> c2pa.Context:
    settings: dict[str, Any] = {
        "verify": {
            "verify_trust": True, "verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False
        },
        "builder": {"thumbnail": {"enabled": False}},
    }  # fmt: skip
    if trusted:
        settings["trust"] = {"user_anchors": trusted.decode("ascii")}
    return library.Context.from_dict(settings)


def _library() -> Any:
    try:
        import c2pa
    except ImportError:
        raise MissingWeightsError("signing media needs the package c2pa-python: pip install c2pa-python") from None
    return c2pa
