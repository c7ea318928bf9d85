"""The orientation tag is read alone: whatever stands around it."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from perse.data.exif_orientation import orientation_of, parse_orientation
from perse.data.images import read_portrait_bytes
from perse.errors import PortraitError

PICTURE = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)


def tiff(*entries: tuple[int, int, int, int], order: str = "<") -> bytes:
    """An EXIF block of entries (tag, type, count, value)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    return b"Exif\0\0" + head + b"".join(struct.pack(order + "HHIH2x", *one) for one in entries)


def png(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("value", range(1, 9))
def test_the_eight_orientations_are_those_of_pillow(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    data = png(exif=exif)
    np.testing.assert_array_equal(
        read_portrait_bytes(data), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_tag_is_found_among_others(order: str) -> None:
    assert parse_orientation(tiff((0x010F, 2, 4, 7), (0x0112, 3, 1, 6), (0x9C9B, 1, 2**32 - 1, 0), order=order)) == 6


@pytest.mark.parametrize(
    "exif",
    [b"", b"Exif\0\0", b"II*\0\xff\xff\xff\xff", tiff()[:14], tiff((0x0112, 3, 1, 9)), tiff((0x0112, 2, 1, 6)),
     tiff((0x0112, 3, 1, 6))[:-8], b"MM\0*" + bytes(4) + b"\xff" * 5000],
)  # fmt: skip
def test_what_makes_no_sense_turns_nothing(exif: bytes) -> None:
    assert parse_orientation(exif) is None


def test_other_places_of_the_tag() -> None:
    hexadecimal = tiff((0x0112, 3, 1, 3)).hex()
    assert orientation_of({"Raw profile type exif": f"\nexif\n  {len(hexadecimal) // 2}\n{hexadecimal}\n"}) == 3
    assert orientation_of({"xmp": b'<x tiff:Orientation="8"/>'}) == 8
    assert orientation_of({"XML:com.adobe.xmp": "<tiff:Orientation>5</tiff:Orientation>"}) == 5
    assert orientation_of({"exif": 7, "xmp": b"", "Raw profile type exif": "no"}) == 1


@pytest.mark.parametrize(
    "exif",
    [
        tiff((0x010F, 2, 4, 7), (0x0112, 3, 1, 6), (0x8769, 4, 1, 8), (0xC6D2, 1, 4, 0), (0x9286, 7, 2, 1)),
        tiff((0x0112, 3, 1, 6), (0x011A, 5, 1, 65000), (0x8825, 4, 1, 2), (0x0132, 12, 9, 9)),
    ],
)
def test_a_strange_tag_beside_it_does_not_matter(exif: bytes) -> None:
    np.testing.assert_array_equal(read_portrait_bytes(png(exif=exif)), np.rot90(PICTURE, -1))


@pytest.mark.filterwarnings("ignore")  # Pillow's about what it reads
def test_no_mutation_of_a_picture_gets_past_the_sentence() -> None:
    """123 of 26,000 such mutations ended in TypeError or struct.error, through ``exif_transpose``."""
    generator = random.Random(0)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "someone", 72.0
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    wholes = []
    for kind in ("PNG", "JPEG", "WEBP"):
        buffer = io.BytesIO()
        Image.fromarray(PICTURE).save(buffer, kind, exif=exif)
        wholes.append(buffer.getvalue())
    read = 0
    for _ in range(3000):
        data = bytearray(generator.choice(wholes))
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            assert read_portrait_bytes(bytes(data)).shape[2] == 3
            read += 1
        except PortraitError:
            pass
    assert read > 300
