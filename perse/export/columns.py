"""Gaussians as columns of small integers, which is how they travel into a browser: 19 bytes a Gaussian and frame.

=========  ======  ==========================================================================
positions  u16×3   between the lowest and the highest of all; 1e-5 m apart for an avatar with its body
rotations  i16×3   x, y, z of unit quaternions with w ≥ 0
colors     u8×4    RGB and opacity
scales     u8×3    logarithms, about 2 % apart
=========  ======  ==========================================================================

`splats.js` reads them. A column that does not change over the frames is stored once.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray

from perse.export.scene import SplatScene
from perse.gaussians import Gaussians

_ALIGNMENT = 4


@dataclass(frozen=True)
class Columns:
    """Quantised Gaussians, a column for each quantity.

    Attributes:
        values: by name, [f or 1, n, c] integers.
        ranges: what turns them back into numbers.
    """

    values: dict[str, Shaped[NDArray[Any], "_ n ..."]]
    ranges: dict[str, Any]

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.values.values())

    @cached_property
    def data(self) -> bytes:
        """All columns in one run of bytes, each aligned for a typed array."""
        packed = bytearray()
        for column in self.values.values():
            packed += bytes(-len(packed) % _ALIGNMENT)
            packed += column.tobytes()
        return bytes(packed)

    def description(self) -> dict[str, Any]:
        """Ranges, and where in `data` each column lies; for JSON."""
        places, end = {}, 0
        for name, column in self.values.items():
            start = end + -end % _ALIGNMENT
            places[name] = {"offset": start, "length": column.size, "frames": len(column)}
            end = start + column.nbytes
        return self.ranges | {"columns": places}


def quantise(gaussians: Gaussians) -> Columns:
    """Columns of Gaussians [f, n] as `SplatScene` holds them: visible, finite, rotations with w ≥ 0."""
    means = gaussians.means.double().numpy()
    low, high = means.min((0, 1)), means.max((0, 1))
    step = np.maximum(high - low, 1e-9) / 65535
    logs = gaussians.scales.double().log().numpy()
    scale_low = float(logs.min())
    scale_step = max(float(logs.max()) - scale_low, 1e-9) / 255
    rgba = np.concatenate([gaussians.colors.numpy(), gaussians.opacities.numpy()[..., None]], -1)
    columns = {
        "positions": np.round((means - low) / step).astype("<u2"),
        "rotations": np.round(gaussians.quats.numpy()[..., 1:].astype(np.float64) * 32767).astype("<i2"),
        "colors": np.round(rgba.astype(np.float64) * 255).astype(np.uint8),
        "scales": np.round((logs - scale_low) / scale_step).astype(np.uint8),
    }
    constant = {name: column[:1] if (column == column[:1]).all() else column for name, column in columns.items()}
    ranges = {"low": low.tolist(), "step": step.tolist(), "scaleLow": scale_low, "scaleStep": scale_step}
    return Columns(constant, ranges)


def scene_description(scene: SplatScene, columns: Columns) -> dict[str, Any]:
    """Description of a scene's columns for JSON: all that a browser needs to know to draw them."""
    camera, intrinsics = scene.camera, scene.camera.intrinsics.tolist()
    middle, _ = camera.project(scene.centre[None])
    return columns.description() | {
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


def splat_message(scene: SplatScene, **more: Any) -> bytes:
    """A scene as one binary message: u32 length of the description (little-endian), the description as JSON padded
    with spaces, the columns. `more` is added to the description."""
    columns = quantise(scene.gaussians)
    text = json.dumps(scene_description(scene, columns) | more, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<I", len(text)) + text + columns.data
