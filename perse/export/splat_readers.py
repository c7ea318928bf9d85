"""Our own readers of the splat formats, so that an export can be drawn again and compared.

They read what `splat_files` and `gltf` write and files of the same layout by others: degree 0 harmonics are used,
higher ones skipped. Sizes are checked against the file before memory is taken.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt32
from numpy.typing import NDArray
from torch import Tensor

from perse.errors import InputError
from perse.export.gltf import read_glb
from perse.export.scene import canonical_quaternions
from perse.export.sog import read_sog
from perse.export.splat_files import SH_C0, turned
from perse.export.spz import read_spz
from perse.gaussians import Gaussians

MAX_HEADER_BYTES = 256 * 1024
_PLY_TYPES = {"float": "<f4", "double": "<f8", "uchar": "u1", "uint": "<u4", "int": "<i4", "ushort": "<u2"}
_CHUNK = 256


def read_splats(path: Path) -> Gaussians:
    """Gaussians [n] of a ``.ply``, compressed ``.ply``, ``.splat``, ``.spz``, ``.sog`` or ``.glb``, in our frame.

    It is y up, z to the front.

    Raises:
        InputError: the file is damaged or holds something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    if data[:4] == b"ply\n" or data[:5] == b"ply\r\n":
        return read_ply(data)
    if data[:4] == b"glTF":
        return read_glb(data)
    if data[:2] == b"\x1f\x8b":
        return read_spz(data)
    if data[:2] == b"PK":
        return read_sog(data)
    if path.suffix == ".splat":
        return read_splat(data)
    raise InputError(f"{path.name} is neither PLY nor GLB nor .splat, .spz or .sog")


def ply_header(data: bytes) -> tuple[str, int]:
    """The text of a PLY header and where it ends.

    Raises:
        InputError: there is none, or the body is not little-endian binary.
    """
    end = data[:MAX_HEADER_BYTES].find(b"end_header\n")
    if data[:3] != b"ply" or end < 0:
        raise InputError("expected a PLY file with a header that ends in end_header")
    text = data[:end].decode("utf-8", "replace")
    if "format binary_little_endian 1.0" not in text:
        raise InputError("only binary little-endian PLY files are read")
    return text, end + len(b"end_header\n")


def read_ply(data: bytes) -> Gaussians:
    """A 3DGS PLY file, plain or compressed: [n] in our frame.

    Raises:
        InputError: it is neither.
    """
    text, offset = ply_header(data)
    elements: dict[str, tuple[int, list[tuple[str, str]]]] = {}
    current: list[tuple[str, str]] = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["element"] and len(words) == 3 and re.fullmatch(r"\d{1,9}", words[2]):
            current = []
            elements[words[1]] = (int(words[2]), current)
        elif words[:1] == ["property"]:
            if len(words) != 3 or words[1] not in _PLY_TYPES:
                raise InputError("the PLY file has a property that Gaussians do not have")
            current.append((words[2], _PLY_TYPES[words[1]]))
    tables: dict[str, NDArray[np.void]] = {}
    for name, (count, columns) in elements.items():
        try:
            kind = np.dtype(columns)
        except ValueError:
            raise InputError("the PLY header names a property twice") from None
        if offset + count * kind.itemsize > len(data):
            raise InputError("the PLY file is truncated")
        if kind.itemsize:
            tables[name] = np.frombuffer(data, kind, count, offset)
        offset += count * kind.itemsize
    try:
        return _compressed(tables["chunk"], tables["vertex"]) if "chunk" in tables else _plain(tables["vertex"])
    except (KeyError, ValueError):
        raise InputError("the PLY file lacks a property of 3D Gaussians") from None


def read_splat(data: bytes) -> Gaussians:
    """A ``.splat`` file: [n] in our frame.

    Raises:
        InputError: its length is not a multiple of 32.
    """
    if not data or len(data) % 32:
        raise InputError("a .splat file has 32 bytes for each Gaussian")
    rows = np.frombuffer(data, [("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("rot", "u1", 4)])
    rgba = rows["rgba"] / 255.0
    return _in_our_frame(rows["mean"], (rows["rot"] - 128.0) / 128, rows["scale"], rgba[:, 3], rgba[:, :3])


def _plain(rows: NDArray[np.void]) -> Gaussians:
    logits = rows["opacity"].astype(np.float64)
    return _in_our_frame(
        _columns(rows, "x", "y", "z"),
        _columns(rows, "rot_0", "rot_1", "rot_2", "rot_3"),
        np.exp(_columns(rows, "scale_0", "scale_1", "scale_2")),
        1 / (1 + np.exp(-logits)),
        0.5 + SH_C0 * _columns(rows, "f_dc_0", "f_dc_1", "f_dc_2"),
    )


def _compressed(chunks: NDArray[np.void], rows: NDArray[np.void]) -> Gaussians:
    if len(chunks) * _CHUNK < len(rows):
        raise InputError("the compressed PLY file has too few chunks")
    own = chunks[np.arange(len(rows)) // _CHUNK]

    def between(low: str, high: str, axes: str, share: NDArray[np.float64]) -> NDArray[np.float64]:
        bottom, top = _columns(own, *(f"{low}{a}" for a in axes)), _columns(own, *(f"{high}{a}" for a in axes))
        return bottom + (top - bottom) * share

    color = _bits(rows["packed_color"], 8, 8, 8, 8)
    return _in_our_frame(
        between("min_", "max_", "xyz", _bits(rows["packed_position"], 11, 10, 11)),
        _smallest_three(rows["packed_rotation"]),
        np.exp(between("min_scale_", "max_scale_", "xyz", _bits(rows["packed_scale"], 11, 10, 11))),
        color[:, 3],
        between("min_", "max_", "rgb", color[:, :3]),
    )


def _bits(packed: UInt32[np.ndarray, " n"], *widths: int) -> NDArray[np.float64]:
    """Numbers in [0, 1] from fields of 32-bit words, the highest bits first: [n, fields]."""
    fields, shift = [], 32
    for width in widths:
        shift -= width
        fields.append(((packed >> np.uint32(shift)) & np.uint32((1 << width) - 1)) / ((1 << width) - 1))
    return np.stack(fields, -1)


def _smallest_three(packed: UInt32[np.ndarray, " n"]) -> Float64[np.ndarray, "n 4"]:
    """Unit quaternions wxyz [n, 4]: two bits say which component is the largest, the three others follow."""
    others = (_bits(packed, 2, 10, 10, 10)[:, 1:] - 0.5) * np.sqrt(2)
    largest = (packed >> np.uint32(30)).astype(np.int64)
    result = np.empty((len(packed), 4))
    columns = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[largest]
    np.put_along_axis(result, columns, others, 1)
    rest = np.sqrt(np.maximum(1 - (others**2).sum(1), 0))
    np.put_along_axis(result, largest[:, None], rest[:, None], 1)
    return result


def _columns(rows: NDArray[np.void], *names: str) -> Float64[np.ndarray, "n c"]:
    return np.stack([rows[name].astype(np.float64) for name in names], -1)


def _in_our_frame(
    means: Float[np.ndarray, "n 3"],
    quats: Float[np.ndarray, "n 4"],
    scales: Float[np.ndarray, "n 3"],
    opacities: Float[np.ndarray, " n"],
    colors: Float[np.ndarray, "n 3"],
) -> Gaussians:
    def tensor(values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(np.array(values, np.float32))

    back_means, back_quats = turned(tensor(means), tensor(quats))
    return Gaussians(
        back_means, canonical_quaternions(back_quats), tensor(scales), tensor(opacities), tensor(colors)
    )  # fmt: skip
