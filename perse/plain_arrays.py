"""Arrays of numbers from strangers' ``.npz`` and ``.npy`` files, each described truthfully by its own header.

numpy's reader parses the header as Python, allocates whatever it claims, and inflates without limit: a header of 400
bytes ended in ``TokenError``, in ``LZMAError`` or in hundreds of GiB. Here the header must be the one line that numpy
writes, the data must have exactly the size that it says, and nothing is inflated beyond a limit.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray

DTYPE = re.compile(r"[<>|=]?(?:[iu][1248]|f[248]|b1)")
"""Numbers of fixed size; neither objects, nor text, nor records."""

MAX_DIMENSIONS = 8

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 1000
# Python 2's numpy wrote sizes as 10L.
_HEADER = re.compile(
    rb"\{'descr': '([^']{1,8})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}L?(?:, ?\d{1,12}L?){0,%d},?)?)\), ?\}\s*" % (MAX_DIMENSIONS - 1)
)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy writes. LZMA and bzip2 have their own errors and their own bombs."""


class PlainArrayError(ValueError):
    """These bytes are not plain arrays of numbers; the text says why in a few words and quotes nothing."""


def read_npz(
    data: bytes, *, max_bytes: int, max_members: int, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, Shaped[NDArray[np.generic], "..."]]]:
    """The arrays of an npz file by name, in the file's order.

    Args:
        max_bytes: what all wanted members may unpack to together; compared before anything is unpacked.
        max_members: how many there may be.
        wanted: which names are read at all.

    Raises:
        PlainArrayError: damaged, too large, or something else than plain arrays of numbers.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, OSError, NotImplementedError, EOFError):
        raise PlainArrayError("it is damaged: its table of contents cannot be read") from None
    members = [(one.filename.removesuffix(".npy"), one) for one in archive.infolist()]
    members = [(name, one) for name, one in members if wanted(name)]
    if len(members) > max_members or sum(one.file_size for _, one in members) > max_bytes:
        raise PlainArrayError(f"it unpacks to too much; {max_members} arrays and {max_bytes >> 20} MiB are allowed")
    if len({name for name, _ in members}) < len(members):
        raise PlainArrayError("it holds two arrays of one name")
    for name, member in members:
        yield name, parse_npy(_unpacked(archive, member))


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member whose size and checksum are what the file says."""
    if member.compress_type not in _METHODS or member.flag_bits & 1:
        raise PlainArrayError("it is packed in a way that numpy does not use")
    try:
        with archive.open(member) as stream:
            content = stream.read(member.file_size)
            longer = stream.read(1)  # reaching the end is also what compares the checksum
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError):
        raise PlainArrayError("it is damaged: an array cannot be unpacked") from None
    if longer or len(content) != member.file_size:
        raise PlainArrayError("it is damaged: an array has another size than the file says")
    return content


def parse_npy(data: bytes) -> Shaped[NDArray[np.generic], "..."]:
    """The array of an npy file, version 1.0; a read-only view of `data`.

    Raises:
        PlainArrayError: anything but numbers, or a header and data that do not belong together.
    """
    stream = io.BytesIO(data)
    magic, length = stream.read(8), int.from_bytes(stream.read(2), "little")
    if magic != _MAGIC + b"\x01\x00" or length > _MAX_HEADER_BYTES:
        raise PlainArrayError("it holds something else than arrays in numpy's format 1.0")
    header = _HEADER.fullmatch(stream.read(length))
    if header is None:
        raise PlainArrayError("the header of an array is not one that numpy writes for plain numbers")
    kind, column_major, shape = header.groups()
    sizes = tuple(int(size.strip().rstrip(b"L")) for size in shape.split(b",") if size.strip())
    return array_of(kind.decode("latin-1"), sizes, data[stream.tell() :], column_major=column_major == b"True")


def array_of(
    kind: str, shape: tuple[int, ...], data: bytes, *, column_major: bool = False
) -> Shaped[NDArray[np.generic], "..."]:
    """An array from its type's name, its sizes and its bytes, which must fit exactly; a read-only view.

    Raises:
        PlainArrayError: another type than numbers of fixed size, or sizes and bytes that do not belong together.
    """
    if DTYPE.fullmatch(kind) is None:
        raise PlainArrayError("it holds an array of something else than numbers")
    dtype = np.dtype(kind)
    if len(shape) > MAX_DIMENSIONS or any(size < 0 for size in shape):
        raise PlainArrayError("an array has an impossible shape")
    if not data or math.prod(shape) * dtype.itemsize != len(data):
        raise PlainArrayError("an array has no numbers, or more or fewer than its shape says")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if column_major else "C")
