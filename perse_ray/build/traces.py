"""Traces of a person: what their files can be recognised by, and where such files still lie.

Pieces are taken where only this person's numbers are: pixels and landmarks of pictures, learned tensors of an avatar.
What all avatars share (the head's template and blendshapes, the motion, the features of a prompt's words) would accuse
everybody else's files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from perse.data.workspace import Workspace

PIECE_BYTES = 48
PIECES_OF_A_FILE = 8
"""Taken at even distances: a copy that was cut is found as well."""
LEAST_BYTES = 1024
"""Smaller files are manifests and notes, which say nothing of a face."""
LARGEST_SCANNED = 2 * 2**30
CHUNK_BYTES = 2**22
HASH_BITS = 22
"""Of ten thousand pieces, one place in four hundred is looked at twice."""
PERSONAL = (
    "portrait/", "edits/", "clips/", "features/", "morphs/", "adapters/", "avatar/", "checkpoints/", "report/", "body/",
    "studio/",
)  # fmt: skip
COLUMNS = ("image", "landmarks_px", "underlay_image")
TENSORS = ("decoder.base/", "decoder.response", "features_image", "image/", "photo_px/", "state.colors/")
"""Not `decoder.features`: those of a point that no picture shows stay as every avatar's were drawn."""
SHARED_ARRAYS = ("text.npy",)
"""Of NPZ files: the same words are the same numbers for everybody."""
OF_BODIES, SHOWN_ARRAYS = "body/", ("image.npy",)
"""Films of bodies: everybody walks and is lit alike."""
WHOLE = (".png", ".webp", ".mp4")

LENGTHS_AT, LOCAL_HEADER_BYTES = 26, 30
"""Of a ZIP file (APPNOTE 4.3.7)."""
ARRAY_HEADER_BYTES = 128
"""Of a NPY file that numpy writes: the same for all arrays of a shape."""

DAMAGED = (ValueError, KeyError, OSError, struct.error, zipfile.BadZipFile, pa.ArrowException)

Range = tuple[int, int]


@dataclass(frozen=True)
class Traces:
    """Marks by which a person's files can be recognised.

    Attributes:
        digests: sha256 of whole files.
        pieces: short sequences of bytes from inside them; compressed or floating point, so that chance has no part.
    """

    digests: frozenset[str]
    pieces: tuple[bytes, ...]


def traces_of(home: Workspace) -> Traces:
    """Traces of a person in everything of a workspace that shows or describes the person."""
    digests: set[str] = set()
    pieces: list[bytes] = []
    for name, size in home.walk():
        if size < LEAST_BYTES or not name.startswith(PERSONAL):
            continue
        content = home.read(name)
        digests.add(hashlib.sha256(content).hexdigest())
        with suppress(*DAMAGED):  # has its digest
            for start, stop in _ranges(name, content):
                pieces += _pieces(content[start:stop])
    return Traces(frozenset(digests), tuple(dict.fromkeys(pieces)))


def _pieces(content: bytes) -> Iterator[bytes]:
    for number in range(1, PIECES_OF_A_FILE + 1):
        piece = content[len(content) * number // (PIECES_OF_A_FILE + 1) :][:PIECE_BYTES]
        if len(piece) == PIECE_BYTES and len(set(piece)) > PIECE_BYTES // 2:  # neither padding nor text that repeats
            yield piece


def _ranges(name: str, content: bytes) -> Iterator[Range]:
    """Where a file holds what is this person's alone."""
    suffix = PurePosixPath(name).suffix
    if suffix in WHOLE:
        yield 0, len(content)
    elif suffix == ".npz":
        yield from _arrays(content, SHOWN_ARRAYS if name.startswith(OF_BODIES) else None)
    elif suffix == ".parquet":
        yield from _columns(content)
    elif suffix == ".safetensors":
        yield from _tensors(content)


def _columns(content: bytes) -> Iterator[Range]:
    metadata = pq.ParquetFile(pa.BufferReader(content)).metadata
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        for column in (group.column(i) for i in range(group.num_columns)):
            if column.path_in_schema in COLUMNS:
                yield column.data_page_offset, column.data_page_offset + column.total_compressed_size


def _arrays(content: bytes, only: tuple[str, ...] | None) -> Iterator[Range]:
    """Numbers of a ZIP file's arrays, of all but shared ones if not of some only: a member's local header holds the
    lengths of its name and of its extra field."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        for member in file.infolist():
            if member.filename not in SHARED_ARRAYS if only is None else member.filename in only:
                lengths = struct.unpack_from("<HH", content, member.header_offset + LENGTHS_AT)
                start = member.header_offset + LOCAL_HEADER_BYTES + sum(lengths)
                yield start + ARRAY_HEADER_BYTES, start + member.compress_size


def _tensors(content: bytes) -> Iterator[Range]:
    length = int.from_bytes(content[:8], "little")
    for name, about in json.loads(content[8 : 8 + length]).items():
        if f"{name}/".startswith(TENSORS):
            start, stop = about["data_offsets"]
            yield 8 + length + start, 8 + length + stop


def scan(traces: Traces, places: Iterable[Path]) -> tuple[int, list[str]]:
    """Files below some places that hold a trace: how many were looked at, and which those are."""
    count, left = 0, []
    finder = PieceFinder(traces.pieces)
    for path in _files(places):
        with suppress(OSError):
            if not LEAST_BYTES <= path.stat().st_size <= LARGEST_SCANNED:
                continue
            content = path.read_bytes()
            count += 1
            if hashlib.sha256(content).hexdigest() in traces.digests or finder.any_in(content):
                left.append(str(path))
    return count, left


class PieceFinder:
    """Search for any of thousands of pieces in one pass over a file; one by one they take minutes.

    A table knows four bytes of every piece, by a hash; only where it says yes the piece is compared. They are four
    different bytes: a file may be full of zeros.

    Args:
        pieces: of `PIECE_BYTES` each.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._by_key: dict[bytes, list[tuple[int, bytes]]] = {}
        for piece in set(pieces):
            at = _telling(piece)
            self._by_key.setdefault(piece[at : at + 4], []).append((at, piece))
        self._known = np.zeros(1 << HASH_BITS, bool)
        self._known[_hashed(np.frombuffer(b"".join(self._by_key), "<u4"))] = True

    def any_in(self, content: bytes) -> bool:
        """Whether any piece lies in the content, anywhere."""
        for start in range(0, len(content) - 3, CHUNK_BYTES):
            for shift in range(4):
                count = min(CHUNK_BYTES // 4, (len(content) - start - shift) // 4)
                keys = np.frombuffer(content, "<u4", count, start + shift)
                places = start + shift + 4 * np.flatnonzero(self._known[_hashed(keys)])
                if any(self._lies_at(content, place) for place in places.tolist()):
                    return True
        return False

    def _lies_at(self, content: bytes, place: int) -> bool:
        """Whether a piece lies where its key was seen."""
        return any(
            place >= at and content[place - at : place - at + PIECE_BYTES] == piece
            for at, piece in self._by_key.get(content[place : place + 4], ())
        )


def _telling(piece: bytes) -> int:
    """Where a piece has four different bytes in a row; 0 if nowhere."""
    return next((at for at in range(len(piece) - 3) if len(set(piece[at : at + 4])) == 4), 0)


def _hashed(heads: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Multiplicative hashing, by Knuth's constant."""
    return (heads * np.uint32(2654435761)) >> np.uint32(32 - HASH_BITS)


def _files(places: Iterable[Path]) -> Iterator[Path]:
    roots = {place.absolute() for place in places if place.is_dir()}
    for root in sorted(root for root in roots if not any(other in root.parents for other in roots)):
        for folder, _, names in os.walk(root):
            yield from (Path(folder) / name for name in names if not (Path(folder) / name).is_symlink())
