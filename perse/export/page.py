"""A page that shows the avatar: one ``.html`` that opens by double click, with nothing fetched from anywhere.

The Gaussians are embedded as quantised columns (19 bytes a Gaussian and frame, colours and scales included), deflated
and in base64; `viewer.js` draws them. Columns that do not change over the frames are stored once. A still of 15,000
Gaussians makes a page of about 0.3 MB.
"""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perse.errors import InputError
from perse.export.provenance import GENERATOR, VERSION, Provenance
from perse.export.scene import SplatScene

MAX_RAW_BYTES = 400 * 1024 * 1024
"""Of embedded columns before compression; a browser holds a few copies of them."""

_HERE = Path(__file__).parent
_ALIGNMENT = 4
_GAP = re.compile(r"\{\{(\w+)\}\}")


def page_bytes(scene: SplatScene, provenance: Provenance) -> bytes:
    """The page.

    Raises:
        InputError: the animation is too long for a page.
    """
    columns, ranges = _quantised(scene)
    total = sum(column.nbytes for column in columns.values())
    if total > MAX_RAW_BYTES:
        raise InputError(
            f"{scene.n_frames} frames of {scene.gaussians.means.shape[1]} Gaussians are {total / 2**20:.0f} MiB, more "
            "than a page should hold: take fewer frames, or export USD"
        )
    packed, places = _packed(columns)
    description = _description(scene) | ranges | {"columns": places}
    filling = {
        "generator": html.escape(f"{GENERATOR} {VERSION}"),
        "statement": html.escape(provenance.statement),
        "provenance": _script_safe(provenance.to_json()),
        "scene": _script_safe(json.dumps(description)),
        "splats": base64.b64encode(zlib.compress(packed, 9)).decode("ascii"),
        "viewer": (_HERE / "viewer.js").read_text(encoding="utf-8"),
    }
    page = (_HERE / "viewer.html").read_text(encoding="utf-8")
    # In one pass: what is filled in is never searched for gaps again.
    return _GAP.sub(lambda gap: filling[gap[1]], page).encode("utf-8")


def _quantised(scene: SplatScene) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Columns [f or 1, n, c] of small integers, and what turns them back into numbers."""
    g = scene.gaussians
    means = g.means.double().numpy()
    low, high = means.min((0, 1)), means.max((0, 1))
    step = np.maximum(high - low, 1e-9) / 65535  # 1e-5 m for an avatar with its body
    logs = g.scales.double().log().numpy()
    scale_low = float(logs.min())
    scale_step = max(float(logs.max()) - scale_low, 1e-9) / 255  # about 2 %
    rgba = np.concatenate([g.colors.numpy(), g.opacities.numpy()[..., None]], -1)
    columns = {
        "positions": np.round((means - low) / step).astype("<u2"),
        "rotations": np.round(g.quats.numpy()[..., 1:].astype(np.float64) * 32767).astype("<i2"),
        "colors": np.round(rgba.astype(np.float64) * 255).astype(np.uint8),
        "scales": np.round((logs - scale_low) / scale_step).astype(np.uint8),
    }
    constant = {name: column[:1] if (column == column[:1]).all() else column for name, column in columns.items()}
    ranges = {"low": low.tolist(), "step": step.tolist(), "scaleLow": scale_low, "scaleStep": scale_step}
    return constant, ranges


def _packed(columns: dict[str, NDArray[Any]]) -> tuple[bytes, dict[str, dict[str, int]]]:
    """One run of bytes and where each column lies in it."""
    data, places = bytearray(), {}
    for name, column in columns.items():
        data += bytes(-len(data) % _ALIGNMENT)
        places[name] = {"offset": len(data), "length": column.size, "frames": len(column)}
        data += column.tobytes()
    return bytes(data), places


def _description(scene: SplatScene) -> dict[str, Any]:
    camera, intrinsics = scene.camera, scene.camera.intrinsics.tolist()
    middle, _ = camera.project(scene.centre[None])
    return {
        "count": scene.gaussians.means.shape[1],
        "frames": scene.n_frames,
        "fps": scene.fps,
        "width": camera.width,
        "height": camera.height,
        "worldToCamera": camera.world_to_camera.tolist(),
        "intrinsics": [intrinsics[0][0], intrinsics[1][1], intrinsics[0][2], intrinsics[1][2]],
        "centre": scene.centre.tolist(),
        "middle": middle[0].tolist(),
    }


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")
