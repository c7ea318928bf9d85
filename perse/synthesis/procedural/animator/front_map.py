"""Small textures for eyes and teeth: an orthographic front view of the part in rest pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from perse.render.mesh import MeshFragments, rasterize_mesh
from perse.shapes import HardMask
from perse.synthesis.procedural.animator.surface import HeadSurface, TriangleKind


@dataclass(frozen=True)
class FrontMap:
    """The front view of some triangles.

    Attributes:
        chosen: [t'] indices of the triangles in the surface's faces.
        corner_uvs: [t', 3, 2] float32, pixels of the map.
        fragments: the part's nearest triangle (index into the surface's faces) at every pixel of the map.
        low: [2] rest x and y (metres) of the map's left lower corner; scale: pixels per metre.
    """

    chosen: Int64[NDArray[np.int64], " t"]
    corner_uvs: Float32[NDArray[np.float32], "t 3 2"]
    fragments: MeshFragments
    low: Float32[NDArray[np.float32], "2"]
    scale: float

    @property
    def inside(self) -> HardMask:
        """Mask [h, w] of where the map shows the part."""
        return self.fragments.face >= 0

    def rest_xy(self) -> Float32[NDArray[np.float32], "h w 2"]:
        """Rest positions x and y of every pixel, metres: [h, w, 2]."""
        height, width = self.fragments.face.shape
        x = (np.arange(width) + 0.5) / self.scale + self.low[0]
        y = (height - np.arange(height) - 0.5) / self.scale + self.low[1]
        return np.stack(np.meshgrid(x, y), -1).astype(np.float32)


def make_front_map(
    surface: HeadSurface,
    rest: Float32[NDArray[np.float32], "n 3"],
    kinds: tuple[TriangleKind, ...],
    scale: float,
    margin_px: int = 3,
) -> FrontMap:
    """Front view of the triangles of some kinds.

    Args:
        rest: [n, 3] rest positions of the drawn mesh (they may differ from the template's), metres.
        scale: pixels per metre.
    """
    chosen = np.nonzero(np.isin(surface.kinds, kinds))[0]
    corners = rest[surface.faces[chosen]]
    flat = corners.reshape(-1, 3)
    low = flat[:, :2].min(0) - margin_px / scale
    width, height = np.ceil((flat[:, :2].max(0) - low) * scale + margin_px).astype(int)
    uvs = np.stack([(corners[..., 0] - low[0]) * scale, height - (corners[..., 1] - low[1]) * scale], -1)
    depth = flat[:, 2].max() + 0.1 - corners[..., 2:]
    drawn = rasterize_mesh(
        np.concatenate([uvs, depth], -1).reshape(-1, 3).astype(np.float32),
        np.arange(3 * len(chosen), dtype=np.int32).reshape(-1, 3),
        int(width),
        int(height),
    )
    face = np.where(drawn.face >= 0, chosen[drawn.face], -1).astype(np.int32)
    fragments = MeshFragments(drawn.depth, face, drawn.weights)
    return FrontMap(chosen, uvs.astype(np.float32), fragments, low.astype(np.float32), scale)
