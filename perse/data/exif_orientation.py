"""Orientation of a photograph: EXIF's tag 0x0112, and nothing else of what a file says about itself.

Pillow's ``exif_transpose`` parses and rewrites everything; one strange tag anywhere ended in ``TypeError`` or
``struct.error``. Here only the first directory's twelve-byte entries are looked at.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from PIL import Image

UPRIGHT = 1
_ORIENTATION, _SHORT = 0x0112, 3
_MAX_ENTRIES = 512
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_IN_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])[\"'<]")


def upright(picture: Image.Image) -> Image.Image:
    """The picture as it was meant to be seen."""
    turn = _TURNS.get(orientation_of(picture.info))
    return picture if turn is None else picture.transpose(turn)


def orientation_of(info: dict[Any, Any]) -> int:
    """Orientation, 1 to 8, from what Pillow found beside the pixels (``Image.info``); 1 where nothing sensible is
    said."""
    exif = info.get("exif")
    if not isinstance(exif, bytes):
        exif = _from_raw_profile(info.get("Raw profile type exif"))
    found = parse_orientation(exif)
    if found is not None:
        return found
    xmp = info.get("xmp", info.get("XML:com.adobe.xmp", b""))
    match = _IN_XMP.search(xmp.encode("utf-8", "replace") if isinstance(xmp, str) else bytes(xmp))
    return int(match[1]) if match else UPRIGHT


def parse_orientation(exif: bytes) -> int | None:
    """Orientation in a TIFF block, with or without ``Exif\0\0`` in front; None where it makes no sense."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for entry in range(min(count, _MAX_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", block, start + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else None
    except struct.error:  # shorter than it says
        pass
    return None


def _from_raw_profile(text: object) -> bytes:
    """How ImageMagick keeps EXIF in older PNGs: three lines, then hexadecimal digits."""
    try:
        return bytes.fromhex("".join(str(text).split("\n")[3:])) if text else b""
    except ValueError:
        return b""
