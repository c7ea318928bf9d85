"""PlayCanvas' ``.sog`` (Spatially Ordered Gaussians), version 2: one pixel a Gaussian in lossless WebP, in a ZIP.

::

    meta.json                    ranges, codebooks, the names of the pictures
    means_l.webp, means_u.webp   RGB: low and high bytes of x y z, as sign(x) ln(|x| + 1), between mins and maxs
    quats.webp                   the three smallest of w x y z times √2, alpha = 252 + which is left out
    scales.webp                  places in a codebook of 256 logarithms
    sh0.webp                     RGB: places in a codebook of 256 values of f_dc; alpha: opacity

https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog is the specification. Its text says y up;
PlayCanvas' programs read and write the frame of ``.ply``, y down, and so do we. Neighbours in space are neighbours in
the pictures (Morton 1966), which is what makes them small. The record of the provenance lies beside the generator's
name in meta.json.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from perse.data.strangers_json import value_of_json
from perse.errors import InputError
from perse.export.provenance import GENERATOR, KEY, VERSION, Provenance
from perse.export.scene import canonical_quaternions
from perse.export.splat_files import SH_C0, turned
from perse.gaussians import Gaussians

META = "meta.json"
FORMAT_VERSION = 2
MAX_GAUSSIANS = 10_000_000
MAX_MEMBER_BYTES = 256 * 1024**2
MAX_META_BYTES = 1024**2

_LEVELS = 256
_QUAT_TAG = 252
_NEVER = (1980, 1, 1, 0, 0, 0)
"""The first moment that a ZIP can name: the same content gives the same bytes."""


def sog_bytes(gaussians: Gaussians, provenance: Provenance) -> bytes:
    """Content of a ``.sog`` file.

    Args:
        gaussians: [n].
    """
    means, quats = turned(gaussians.means, gaussians.quats)
    bent = _bent(means.double().numpy())
    order = _morton_order(bent)
    low, high = bent.min(0), bent.max(0)
    whole = np.round(65535 * (bent - low) / np.maximum(high - low, 1e-9)).astype(np.uint16)[order]
    scales, scale_codebook = _coded(gaussians.scales.double().log().numpy()[order])
    colors, color_codebook = _coded((gaussians.colors.double().numpy()[order] - 0.5) / SH_C0)
    opacities = np.round(255 * gaussians.opacities.double().numpy()[order]).clip(0, 255).astype(np.uint8)
    meta = {
        "version": FORMAT_VERSION,
        "asset": {"generator": f"{GENERATOR} {VERSION}", KEY: provenance.record()},
        "count": len(order),
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scale_codebook, "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": color_codebook, "files": ["sh0.webp"]},
    }
    members = {
        META: json.dumps(meta, separators=(",", ":")).encode(),
        "means_l.webp": _picture((whole & 255).astype(np.uint8)),
        "means_u.webp": _picture((whole >> 8).astype(np.uint8)),
        "quats.webp": _picture(_smallest_three(quats.double().numpy()[order])),
        "scales.webp": _picture(scales),
        "sh0.webp": _picture(np.concatenate([colors, opacities[:, None]], -1)),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _NEVER), data)
    return buffer.getvalue()


def read_sog(data: bytes) -> Gaussians:
    """Gaussians [n] of a bundled file of version 2, in our frame; higher harmonics are skipped.

    Raises:
        InputError: it is none, or damaged.
    """
    archive, meta = _opened(data)
    try:
        n = int(meta["count"])
        if not 0 < n <= MAX_GAUSSIANS:
            raise ValueError
        low, high = (np.array(meta["means"][name], np.float64).reshape(3) for name in ("mins", "maxs"))
        bottom, top = (_pixels(archive, name, n)[:, :3].astype(np.float64) for name in meta["means"]["files"])
        scale_codebook, color_codebook = (
            np.array(meta[name]["codebook"], np.float64).reshape(_LEVELS) for name in ("scales", "sh0")
        )
        scales, colors, quats = (_pixels(archive, meta[name]["files"][0], n) for name in ("scales", "sh0", "quats"))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise InputError("the .sog file is damaged, or lacks a part that 3D Gaussians have") from None
    means = _straight(low + (high - low) * (bottom + 256 * top) / 65535)
    columns = (
        means,
        _quaternions(quats),
        np.exp(scale_codebook[scales[:, :3]]),
        colors[:, 3] / 255,
        (0.5 + SH_C0 * color_codebook[colors[:, :3]]).clip(0, 1),
    )
    found = Gaussians(*(torch.from_numpy(np.ascontiguousarray(column, np.float32)) for column in columns))
    back_means, back_quats = turned(found.means, found.quats)
    return Gaussians(back_means, canonical_quaternions(back_quats), found.scales, found.opacities, found.colors)


def sog_provenance(data: bytes) -> str | None:
    """The record in meta.json as JSON, if there is one of ours.

    Raises:
        InputError: it is no .sog file.
    """
    asset = _opened(data)[1].get("asset")
    return Provenance.from_record(asset[KEY]).to_json() if isinstance(asset, dict) and KEY in asset else None


def _bent(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """The format's scale of positions: finer in the middle."""
    return np.sign(means) * np.log1p(np.abs(means))


def _straight(bent: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(bent) * np.expm1(np.abs(bent))


def _morton_order(positions: NDArray[np.float64]) -> NDArray[np.intp]:
    """The order of [n, 3] along a Z-shaped curve: the bits of x, y and z in turn, ten of each."""
    low, high = positions.min(0), positions.max(0)
    cells = (1023 * (positions - low) / np.maximum(high - low, 1e-9)).astype(np.uint32)
    code: NDArray[np.uint32] = np.zeros(len(positions), np.uint32)
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> np.uint32(bit)) & np.uint32(1)) << np.uint32(3 * bit + axis)
    return np.argsort(code, kind="stable")


def _coded(values: NDArray[np.float64]) -> tuple[NDArray[np.uint8], list[float]]:
    """The nearest of 256 equally spaced values [n, c], and those values."""
    low, high = float(values.min()), float(values.max())
    codebook = np.linspace(low, high, _LEVELS)
    places = np.round((_LEVELS - 1) * (values - low) / max(high - low, 1e-9)).astype(np.uint8)
    return places, [round(float(value), 6) for value in codebook]


def _picture(rows: NDArray[np.uint8]) -> bytes:
    """Rows [n, 3] or [n, 4] as pixels of a WebP, lossless where it is transparent too."""
    n, channels = rows.shape
    width = 4 * -(-int(np.ceil(np.sqrt(n))) // 4)
    pixels = np.zeros((-(-n // width), width, channels), np.uint8)
    pixels.reshape(-1, channels)[:n] = rows
    buffer = io.BytesIO()
    # More effort takes a hundred times as long and gives half a percent.
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, exact=True, quality=80, method=4)
    return buffer.getvalue()


def _pixels(archive: zipfile.ZipFile, name: str, n: int) -> NDArray[np.uint8]:
    """The first n pixels [n, 4] of a picture in the archive."""
    data = _member(archive, name, MAX_MEMBER_BYTES)
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP", "PNG")) as picture:
            if not n <= picture.width * picture.height <= 2 * MAX_GAUSSIANS:
                raise ValueError
            return np.asarray(picture.convert("RGBA")).reshape(-1, 4)[:n]
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("not a picture") from None


def _opened(data: bytes) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    """The archive and its meta.json."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        meta = value_of_json(_member(archive, META, MAX_META_BYTES))
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError):
        raise InputError("expected a .sog file, a ZIP with a meta.json; this one is another or damaged") from None
    if not isinstance(meta, dict) or meta.get("version") != FORMAT_VERSION:
        raise InputError("expected a .sog file of version 2")
    return archive, meta


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A file of the archive; what the archive says of its size is not trusted."""
    try:
        with archive.open(name) as stream:
            data = stream.read(most + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError):
        raise ValueError(f"{name} is damaged") from None
    if len(data) > most:
        raise ValueError(f"{name} is too large")
    return data


def _smallest_three(quats: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Unit quaternions [n, 4] (wxyz) as [n, 4] bytes."""
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    largest = np.abs(unit).argmax(1)
    rows = np.arange(len(unit))
    unit *= np.where(unit[rows, largest] < 0, -1, 1)[:, None]
    others = unit[~np.eye(4, dtype=bool)[largest]].reshape(-1, 3)
    packed = np.round(255 * (others * np.sqrt(2) + 1) / 2).clip(0, 255)
    return np.concatenate([packed, _QUAT_TAG + largest[:, None]], -1).astype(np.uint8)


def _quaternions(packed: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The inverse of `_smallest_three`; what has no such tag is not turned, as the format's own reader has it."""
    others = (packed[:, :3] / 255 * 2 - 1) / np.sqrt(2)
    largest = packed[:, 3].astype(np.int64) - _QUAT_TAG
    unit = np.empty((len(packed), 4))
    left_out = np.eye(4, dtype=bool)[largest.clip(0)]
    unit[~left_out] = others.ravel()
    unit[left_out] = np.sqrt(np.maximum(1 - (others**2).sum(1), 0))
    unit[largest < 0] = (1, 0, 0, 0)
    return unit
