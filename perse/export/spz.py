"""Niantic's ``.spz``, version 3: positions in 24 bits, everything else in bytes, gzip around it; a third of a ``.ply``.

::

    magic "NGSP", version, n            3 × u32
    harmonics' degree, fraction bits,   4 × u8
    flags, reserved
    positions    n × 3 × i24            fixed point, metres
    alphas       n × u8                 opacity
    colours      n × 3 × u8             f_dc of degree 0
    scales       n × 3 × u8             logarithms in sixteenths, from −10
    rotations    n × u32                the three smallest of x y z w, ten bits each, and which is left out

The frame is the format's RUB, which is ours and glTF's: x to the right, y up, z to the front. The record of the
provenance is the comment of the gzip member (RFC 1952), which readers pass over.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt32
from numpy.typing import NDArray

from perse.errors import InputError
from perse.export.provenance import KEY, Provenance
from perse.export.splat_files import SH_C0
from perse.gaussians import Gaussians

MAGIC, VERSION = 0x5053474E, 3
FRACTION_BITS = 16
"""±128 m in steps of 15 µm; the format's usual 12 are steps of a quarter of a millimetre, which is an eyelash."""

_COLOR_SCALE = 0.15
_HEADER = struct.Struct("<IIIBBBB")
_BYTES_EACH = 9 + 1 + 3 + 3 + 4
_GZIP_HEADER = b"\x1f\x8b\x08\x10" + bytes(4) + b"\x02\xff"
"""Deflate, with a comment, without a time, best compression, of no particular system."""

MAX_GAUSSIANS = 10_000_000
"""What readers of the format take."""


def spz_bytes(gaussians: Gaussians, provenance: Provenance) -> bytes:
    """Content of a ``.spz`` file.

    Args:
        gaussians: [n].
    """
    n = len(gaussians)
    body = b"".join(
        [
            _HEADER.pack(MAGIC, VERSION, n, 0, FRACTION_BITS, 0, 0),
            _fixed(gaussians.means.numpy()),
            _byte(255 * gaussians.opacities.numpy()),
            _byte(255 * (0.5 + _COLOR_SCALE * (gaussians.colors.numpy() - 0.5) / SH_C0)),
            _byte(16 * (np.log(gaussians.scales.numpy()) + 10)),
            _smallest_three(gaussians.quats.numpy()),
        ]
    )
    return _member(body, f"{KEY} {provenance.to_json()}")


def read_spz(data: bytes) -> Gaussians:
    """Gaussians [n] of a file of version 3 without higher harmonics.

    Raises:
        InputError: it is none.
    """
    body = _opened(data)
    if len(body) < _HEADER.size:
        raise InputError("the .spz file is truncated")
    magic, version, n, degree, fraction, _, _ = _HEADER.unpack_from(body)
    if magic != MAGIC or version != VERSION or degree:
        raise InputError("expected a .spz file of version 3 without higher harmonics")
    if len(body) != _HEADER.size + n * _BYTES_EACH or fraction > 24:
        raise InputError("the .spz file is truncated or damaged")
    parts = np.split(np.frombuffer(body, np.uint8, offset=_HEADER.size), np.cumsum([9 * n, n, 3 * n, 3 * n]))
    color = (parts[2].reshape(n, 3) / 255 - 0.5) / _COLOR_SCALE * SH_C0 + 0.5
    columns = (
        _from_fixed(parts[0].reshape(n, 3, 3)) / 2**fraction,
        _quaternions(parts[4].view("<u4")),
        np.exp(parts[3].reshape(n, 3) / 16 - 10),
        parts[1] / 255,
        color.clip(0, 1),
    )
    return Gaussians(*(torch.from_numpy(np.ascontiguousarray(column, np.float32)) for column in columns))


def spz_provenance(data: bytes) -> str | None:
    """The record in the comment, if there is one of ours."""
    if data[:4] != _GZIP_HEADER[:4]:
        return None
    comment = data[len(_GZIP_HEADER) : data.find(b"\0", len(_GZIP_HEADER), 2**20)].decode("latin-1")
    return comment.removeprefix(f"{KEY} ") if comment.startswith(f"{KEY} ") else None


def _member(body: bytes, comment: str) -> bytes:
    """A gzip member with a comment; the same content gives the same bytes."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(body) + deflate.flush()
    end = struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF)
    return _GZIP_HEADER + comment.encode("ascii") + b"\0" + packed + end


def _opened(data: bytes) -> bytes:
    """The content, no larger than any file of the format is."""
    opened = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        body = opened.decompress(data, _HEADER.size + MAX_GAUSSIANS * _BYTES_EACH)
    except zlib.error:
        raise InputError("the .spz file is damaged") from None
    if not opened.eof:
        raise InputError("the .spz file is truncated, or larger than the format allows")
    return body


def _fixed(values: NDArray[np.float32]) -> bytes:
    limit = 2**23 - 1
    whole = np.round(values.astype(np.float64) * 2**FRACTION_BITS).clip(-limit, limit).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _from_fixed(parts: NDArray[np.uint8]) -> Float64[np.ndarray, "n 3"]:
    low, middle, high = (parts[..., index].astype(np.int64) for index in range(3))
    whole = low | (middle << 8) | (high << 16)
    return np.where(whole >= 2**23, whole - 2**24, whole).astype(np.float64)


def _byte(values: NDArray[np.floating[Any]]) -> bytes:
    return np.round(values).clip(0, 255).astype(np.uint8).tobytes()


def _smallest_three(quats: Float32[np.ndarray, "n 4"]) -> bytes:
    """Rotations [n, 4] (wxyz): the largest of x y z w is left out, its sign made positive."""
    xyzw = quats[:, [1, 2, 3, 0]].astype(np.float64)
    xyzw /= np.linalg.norm(xyzw, axis=1, keepdims=True)
    largest = np.abs(xyzw).argmax(1)
    rows = np.arange(len(xyzw))
    xyzw *= np.where(xyzw[rows, largest] < 0, -1, 1)[:, None]
    packed = largest.astype(np.uint32)
    for axis in range(4):
        value = xyzw[:, axis]
        size = np.round(np.abs(value) * np.sqrt(2) * 511).clip(0, 511).astype(np.uint32)
        shifted = (packed << np.uint32(10)) | ((value < 0).astype(np.uint32) << np.uint32(9)) | size
        packed = np.where(axis == largest, packed, shifted)
    return packed.astype("<u4").tobytes()


def _quaternions(packed: UInt32[np.ndarray, " n"]) -> Float64[np.ndarray, "n 4"]:
    """Rotations [n, 4] (wxyz)."""
    largest, left = packed >> 30, packed.astype(np.uint32)
    xyzw = np.zeros((len(packed), 4))
    for axis in (3, 2, 1, 0):
        here = axis != largest
        size = (left & 511) / 511 / np.sqrt(2)
        xyzw[:, axis] = np.where(here, np.where(left & 512, -size, size), 0)
        left = np.where(here, left >> 10, left)
    rows = np.arange(len(packed))
    xyzw[rows, largest] = np.sqrt((1 - (xyzw**2).sum(1)).clip(0))
    return xyzw[:, [3, 0, 1, 2]]
