"""Every file says what it is; what is signed notices when it was altered."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from perse.data.images import decode_image, encode_image
from perse.errors import InputError
from perse.export import FORMATS, SUFFIXES, Provenance, export_file, local_identity, mp4_bytes, sign_media, verify_file
from perse.export.verification import sidecar
from perse.export.video import webp_bytes

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
MEDIA = {
    "png": lambda: encode_image(PICTURE, "png"),
    "jpeg": lambda: encode_image(PICTURE, "jpeg"),
    "webp": lambda: encode_image(PICTURE, "webp"),
    "animated.webp": lambda: webp_bytes([PICTURE, 255 - PICTURE], 5),
    "mp4": lambda: mp4_bytes([PICTURE, 255 - PICTURE], 5),
}


@pytest.mark.parametrize("format", FORMATS)
def test_every_export_carries_the_record(format, scene, provenance, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"avatar{SUFFIXES[format]}"
    export_file(scene, path, format, provenance)
    found = verify_file(path)
    assert found.provenance == provenance and not found.signed
    assert found.provenance.edits[0].category == "hat" and found.source_type.endswith("trainedAlgorithmicMedia")


@pytest.mark.parametrize("kind", MEDIA)
def test_media_are_signed_and_unaltered(kind: str, provenance, identity, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"media.{kind}"
    path.write_bytes(sign_media(MEDIA[kind](), provenance, identity))
    found = verify_file(path, trusted=identity.chain)
    assert found.signed and found.intact and found.ours and found.provenance == provenance
    assert "self-signed" in found.signer and found.problems == ()
    assert found.source_type.endswith("trainedAlgorithmicMedia")


def test_signing_does_not_touch_pixels(provenance, identity) -> None:  # type: ignore[no-untyped-def]
    assert (decode_image(sign_media(MEDIA["png"](), provenance, identity)) == PICTURE).all()
    import av

    with av.open(io.BytesIO(sign_media(MEDIA["mp4"](), provenance, identity))) as container:
        assert len(list(container.decode(video=0))) == 2


def test_somebody_elses_signature_is_intact_but_not_ours(provenance, identity, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.png"
    path.write_bytes(sign_media(MEDIA["png"](), provenance, identity))
    found = verify_file(path, trusted=b"")
    assert found.intact and not found.ours and "signingCredential.untrusted" in found.problems


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "mp4"])
def test_an_altered_picture_is_noticed(kind: str, provenance, identity, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = bytearray(sign_media(MEDIA[kind](), provenance, identity))
    pixels = {"png": len(data) - 100, "jpeg": len(data) - 100, "webp": 400, "mp4": data.find(b"mdat") + 800}[kind]
    data[pixels] ^= 1
    path = tmp_path / f"a.{kind}"
    path.write_bytes(bytes(data))
    try:
        found = verify_file(path, trusted=identity.chain)
    except InputError:
        return
    assert not found.intact


@pytest.mark.parametrize("kind", MEDIA)
def test_media_without_a_manifest_are_told_apart(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"plain.{kind}"
    path.write_bytes(MEDIA[kind]())
    found = verify_file(path)
    assert found.provenance is None and not found.signed


def test_the_local_identity_is_made_once_and_kept_private(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "signing"
    first = local_identity(folder)
    assert local_identity(folder) == first
    assert os.stat(folder / "key.pem").st_mode & 0o077 == 0
    assert "PRIVATE" not in repr(first) and list(folder.parent.iterdir()) == [folder]


def test_a_record_from_a_stranger_is_not_believed_blindly(tmp_path: Path) -> None:
    for text in (b"[]", b"{}", b'{"edits": 3}', b"[" * 100_000, b"nothing", b" " * 100_000):
        with pytest.raises(InputError):
            Provenance.from_json(text)
    path = tmp_path / "a.splat"
    path.write_bytes(bytes(32))
    assert verify_file(path).provenance is None
    sidecar(path).write_bytes(b"{}")
    with pytest.raises(InputError):
        verify_file(path)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"ply\n", b"glTF" + bytes(30), b"PXR-USDC" + bytes(100), b"#usda 1.0\n{"]
)
def test_files_of_nobody_are_refused_in_one_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "thing.bin"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        verify_file(path)
    assert "\n" not in str(caught.value)
