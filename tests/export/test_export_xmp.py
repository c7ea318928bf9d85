"""The cheap statement in a picture: in every format, unharmed by what is in it, and found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perse.data.images import ImageFormat, decode_image, encode_image
from perse.errors import InputError
from perse.export import Edit, Provenance, verify_file
from perse.export.xmp import read_xmp, xmp_packet

HOSTILE = Provenance("abc", (Edit("hat", "key", 'a "red" <beanie> & ]]> ä', 0.5),), "2025-01-01T00:00:00+00:00")


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("fast", [False, True])
def test_the_record_comes_back_and_the_pixels_are_the_same(format: ImageFormat, fast: bool, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    plain = encode_image(image, format, fast=fast)
    stated = encode_image(image, format, fast=fast, xmp=xmp_packet(HOSTILE))
    assert (decode_image(plain) == decode_image(stated)).all()
    assert read_xmp(plain) is None and read_xmp(stated) == HOSTILE
    (tmp_path / "picture").write_bytes(stated)
    found = verify_file(tmp_path / "picture")
    assert found.provenance == HOSTILE and not found.signed
    assert found.source_type.endswith("trainedAlgorithmicMedia")


def test_a_damaged_record_is_told_from_none() -> None:
    whole = xmp_packet(HOSTILE).encode()
    with pytest.raises(InputError, match="not JSON"):
        read_xmp(whole.replace(b"perse:record=&quot;{", b"perse:record=&quot;").replace(b"avatar", b"avatar&quot;"))
