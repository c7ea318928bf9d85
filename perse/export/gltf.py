"""glTF binary (``.glb``) with Khronos' ``KHR_gaussian_splatting``, the release candidate as of 15 April 2026 (commit
63770cc of KhronosGroup/glTF; in July 2026 the text was the same and still called itself a release candidate).

A primitive of points whose attributes are a Gaussian's: rotation xyzw, scale and opacity **linear** (drafts before
April 2026 stored logarithms of scales), colour as the zeroth spherical harmonic, display-referred sRGB. glTF is y up, z
to the front, metres: our frame. Programs that do not know the extension show a coloured point cloud; its ``COLOR_0`` is
linear light, as glTF's vertex colours are. glTF can animate no per-point attribute, so a file holds one frame.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.data.strangers_json import value_of_json
from perse.errors import InputError
from perse.export.provenance import GENERATOR, KEY, VERSION, Provenance
from perse.export.scene import canonical_quaternions
from perse.export.splat_files import SH_C0
from perse.gaussians import Gaussians

EXTENSION = "KHR_gaussian_splatting"

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_FLOAT, _POINTS, _ARRAY_BUFFER = 5126, 0, 34962
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_ROTATION, _SCALE = f"{EXTENSION}:ROTATION", f"{EXTENSION}:SCALE"
_OPACITY, _COLOR = f"{EXTENSION}:OPACITY", f"{EXTENSION}:SH_DEGREE_0_COEF_0"


def glb_bytes(gaussians: Gaussians, provenance: Provenance) -> bytes:
    """A ``.glb`` of Gaussians [n]. Lossless."""
    rgb = gaussians.colors
    columns = {
        "POSITION": gaussians.means,
        _ROTATION: canonical_quaternions(gaussians.quats)[:, [1, 2, 3, 0]],
        _SCALE: gaussians.scales,
        _OPACITY: gaussians.opacities.clamp(0, 1),
        _COLOR: (rgb - 0.5) / SH_C0,
        "COLOR_0": torch.cat([_linear(rgb.clamp(0, 1)), gaussians.opacities.clamp(0, 1)[:, None]], -1),
    }
    arrays = {name: values.detach().cpu().numpy().astype("<f4") for name, values in columns.items()}
    body = b"".join(array.tobytes() for array in arrays.values())
    head = json.dumps(_description(arrays, provenance), separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    chunks = struct.pack("<II", len(head), _JSON) + head + struct.pack("<II", len(body), _BIN) + body
    return struct.pack("<III", _MAGIC, 2, 12 + len(chunks)) + chunks


def _linear(srgb: Tensor) -> Tensor:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _description(arrays: dict[str, NDArray[np.float32]], provenance: Provenance) -> dict[str, Any]:
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    offset = 0
    for name, array in arrays.items():
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": _ARRAY_BUFFER})
        kind = "SCALAR" if array.ndim == 1 else f"VEC{array.shape[1]}"
        accessor: dict[str, Any] = {
            "bufferView": len(accessors), "componentType": _FLOAT, "count": len(array), "type": kind
        }  # fmt: skip
        if name == "POSITION":
            accessor |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        accessors.append(accessor)
        offset += array.nbytes
    splatting = {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }
    primitive = {
        "mode": _POINTS,
        "attributes": {name: index for index, name in enumerate(arrays)},
        "extensions": {EXTENSION: splatting},
    }
    return {
        "asset": {"version": "2.0", "generator": f"{GENERATOR} {VERSION}", "extras": {KEY: provenance.record()}},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "avatar", "mesh": 0}],
        "meshes": [{"name": "avatar", "primitives": [primitive]}],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }


def glb_chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk.

    Raises:
        InputError: it is not a GLB 2.0 file.
    """
    try:
        magic, version, length = struct.unpack_from("<III", data)
        head_length, kind = struct.unpack_from("<II", data, 12)
        if (magic, version, kind) != (_MAGIC, 2, _JSON) or length > len(data) or 20 + head_length > length:
            raise ValueError
        description = value_of_json(data[20 : 20 + head_length])
        if not isinstance(description, dict):
            raise ValueError
        body = b""
        if length >= 28 + head_length:
            body_length, kind = struct.unpack_from("<II", data, 20 + head_length)
            body = data[28 + head_length : 28 + head_length + body_length]
            if kind != _BIN or len(body) != body_length:
                raise ValueError
    except (struct.error, ValueError):
        raise InputError("expected a binary glTF 2.0 file; this one is another or damaged") from None
    return description, body


def read_glb(data: bytes) -> Gaussians:
    """Gaussians [n] of a ``.glb`` with `EXTENSION` and float attributes.

    Raises:
        InputError: it is damaged, compressed, or holds no Gaussians.
    """
    description, body = glb_chunks(data)
    try:
        primitive = description["meshes"][0]["primitives"][0]
        if EXTENSION not in primitive["extensions"]:
            raise KeyError(EXTENSION)
        attributes = primitive["attributes"]
        names = ("POSITION", _ROTATION, _SCALE, _OPACITY, _COLOR)
        means, xyzw, scales, opacities, harmonics = (_column(description, body, attributes[n]) for n in names)
        columns = (means, xyzw[:, [3, 0, 1, 2]], scales, opacities[:, 0], 0.5 + SH_C0 * harmonics)
        return Gaussians(*(torch.from_numpy(np.array(column)) for column in columns))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
        raise InputError(f"the glTF file holds no uncompressed {EXTENSION} primitive") from None


def _column(description: dict[str, Any], body: bytes, index: int) -> NDArray[np.float32]:
    accessor = description["accessors"][index]
    view = description["bufferViews"][accessor["bufferView"]]
    width, count = _WIDTHS[accessor["type"]], int(accessor["count"])
    start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
    if accessor["componentType"] != _FLOAT or start < 0 or not 0 < count <= len(body) // (4 * width):
        raise ValueError("not plain floats")
    return np.frombuffer(body, "<f4", count * width, start).reshape(count, width)
