"""Surface of the head as it is drawn: kinds of triangles, a refined mesh, its texture grid and its graph.

Everything here depends on the head model alone and is made once per animator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int32
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from perse.errors import RecipeError
from perse.head import HeadModel, Joint, Region
from perse.render.mesh import MeshFragments, rasterize_mesh
from perse.synthesis.procedural.animator.refine import refine
from perse.synthesis.procedural.animator.strand_frame import StrandFrame, middle_of_head, strand_frame


class TriangleKind(IntEnum):
    """Part of the head that a triangle shows."""

    OUTER = 0
    CAVITY = 1
    SOCKET = 2
    LEFT_EYE = 3
    RIGHT_EYE = 4
    UPPER_TEETH = 5
    LOWER_TEETH = 6
    TONGUE = 7


_KIND_OF_REGION = {
    Region.LEFT_EYE: TriangleKind.LEFT_EYE,
    Region.RIGHT_EYE: TriangleKind.RIGHT_EYE,
    Region.UPPER_TEETH: TriangleKind.UPPER_TEETH,
    Region.LOWER_TEETH: TriangleKind.LOWER_TEETH,
    Region.TONGUE: TriangleKind.TONGUE,
}
_SOCKET_REACH_M = 0.03
_CAVITY_REACH_M = 0.09
_BODY_SHARE = 0.03


@dataclass(frozen=True)
class HeadSurface:
    """Drawn mesh of the head. n vertices, t triangles; the first v vertices are the head model's own.

    Attributes:
        model: the head model.
        mixture: [n, v] sparse; drawn vertices = mixture @ model vertices.
        rest: [n, 3] float32, the template refined.
        faces: [t, 3] int32; kinds: [t] values of `TriangleKind`.
        corner_uvs: [t, 3, 2] float32, texture pixels of OUTER triangles in the atlas (others: zeros).
        weights: [n, j] float32 skinning weights; head_share: [n], 1 follows the head and 0 stays with the body.
        outer: [n] bool, on an OUTER triangle; ears: [n] bool.
        average: [n, n] row-normalised adjacency of OUTER triangles.
        atlas: which OUTER triangle (index into `faces`) covers each texel, and where.
    """

    model: HeadModel
    mixture: csr_matrix
    rest: Float32[NDArray[np.float32], "n 3"]
    faces: Int32[NDArray[np.int32], "t 3"]
    kinds: Int8[NDArray[np.int8], " t"]
    corner_uvs: Float32[NDArray[np.float32], "t 3 2"]
    weights: Float32[NDArray[np.float32], "n j"]
    head_share: Float32[NDArray[np.float32], " n"]
    outer: Bool[NDArray[np.bool_], " n"]
    ears: Bool[NDArray[np.bool_], " n"]
    average: csr_matrix
    atlas: MeshFragments

    @property
    def atlas_size(self) -> tuple[int, int]:
        """Height and width, texels."""
        height, width = self.atlas.face.shape
        return height, width

    @cached_property
    def strands(self) -> StrandFrame:
        """Coordinates of every texel along the hair: the same for all portraits."""
        return strand_frame(self.on_texels((self.rest - middle_of_head(self.rest[self.outer])).astype(np.float32)))

    def of_kind(self, *kinds: TriangleKind) -> Bool[NDArray[np.bool_], " n"]:
        """Mask [n] of vertices on triangles of these kinds."""
        chosen = np.zeros(len(self.rest), bool)
        chosen[self.faces[np.isin(self.kinds, kinds)]] = True
        return chosen

    def on_texels(self, values: Float32[NDArray[np.float32], "n ..."]) -> Float32[NDArray[np.float32], "h w *c"]:
        """Per-vertex values [n, c] at every texel [h, w, c]; zeros outside the charts."""
        return self.atlas.interpolate(self.faces, values)


def build_surface(model: HeadModel, atlas_scale_px: float, longest_edge_m: float) -> HeadSurface:
    """Surface of a head model as it is drawn.

    Args:
        atlas_scale_px: texels per unit of the model's UV square.
        longest_edge_m: longer edges of the outer skin are split (twice at most).

    Raises:
        RecipeError: the model has no UV coordinates.
    """
    if not len(model.uvs):
        raise RecipeError(
            "the procedural animator paints a texture and needs a head model with UV coordinates; this one has none: "
            "use the embedded head, or a FLAME file together with its texture coordinates"
        )
    vertices = model.template.numpy()
    faces = model.faces.numpy().astype(np.int32)
    uv_faces = model.uv_faces.numpy()
    kinds, charts = _classify(model, vertices, faces, uv_faces)
    share = 1 - model.skinning_weights.numpy()[:, Joint.GLOBAL]
    kept = (share[faces] > _BODY_SHARE).any(1)
    faces, uv_faces, kinds, charts = faces[kept], uv_faces[kept], kinds[kept], charts[kept]
    corner_uvs, size = _pack(model.uvs.numpy(), uv_faces, kinds, charts, atlas_scale_px)
    fine = refine(vertices, faces, corner_uvs, kinds == TriangleKind.OUTER, longest_edge_m, rounds=2)
    mixture, kinds = fine.mixture, kinds[fine.origin]
    rest = (mixture @ vertices).astype(np.float32)
    outer = np.zeros(len(rest), bool)
    outer[fine.faces[kinds == TriangleKind.OUTER]] = True
    weights = (mixture @ model.skinning_weights.numpy()).astype(np.float32)
    return HeadSurface(
        model=model,
        mixture=mixture,
        rest=rest,
        faces=fine.faces,
        kinds=kinds,
        corner_uvs=fine.corner_uvs,
        weights=weights,
        head_share=1 - weights[:, Joint.GLOBAL],
        outer=outer,
        ears=np.asarray(mixture @ (model.regions.numpy() == Region.EARS).astype(np.float32)) > 0.5,
        average=_average(fine.faces[kinds == TriangleKind.OUTER], len(rest)),
        atlas=_rasterize_atlas(fine.faces, fine.corner_uvs, kinds, size),
    )


def _classify(
    model: HeadModel, vertices: NDArray[np.float32], faces: NDArray[np.int32], uv_faces: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Kind of every triangle and the UV chart it lies on. Inner linings are told by where their chart lies."""
    n = len(model.uvs)
    links = coo_matrix((np.ones(uv_faces.size), (uv_faces.ravel(), np.roll(uv_faces, 1, 1).ravel())), (n, n))
    charts = connected_components(links, directed=False)[1][uv_faces[:, 0]]
    regions = model.regions.numpy()
    kinds = np.zeros(len(faces), np.int8)
    for region, kind in _KIND_OF_REGION.items():
        kinds[(regions[faces] == region).all(1)] = kind
    inner = [
        (TriangleKind.SOCKET, Region.LEFT_EYE, _SOCKET_REACH_M),
        (TriangleKind.SOCKET, Region.RIGHT_EYE, _SOCKET_REACH_M),
    ]
    inner += [(TriangleKind.CAVITY, Region.UPPER_TEETH, _CAVITY_REACH_M)]
    for chart in np.unique(charts[kinds == TriangleKind.OUTER]):
        mine = charts == chart
        points = vertices[np.unique(faces[mine])]
        for kind, region, reach in inner:
            if (regions == region).any():
                centre = vertices[regions == region].mean(0)
                if np.linalg.norm(points - centre, axis=1).max() < reach:
                    kinds[mine] = kind
                    break
    return kinds, charts


def _pack(
    uvs: NDArray[np.float32],
    uv_faces: NDArray[np.int64],
    kinds: NDArray[np.int8],
    charts: NDArray[np.int64],
    scale_px: float,
    margin_px: float = 4.0,
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Texel coordinates of the outer charts, side by side: [t, 3, 2], and the atlas's height and width."""
    corners = np.zeros((*uv_faces.shape, 2), np.float32)
    left, height = 0.0, 0.0
    outer = kinds == TriangleKind.OUTER
    for chart in sorted(np.unique(charts[outer]), key=lambda c: -int((charts == c).sum())):
        mine = outer & (charts == chart)
        here = uvs[uv_faces[mine]] * [scale_px, -scale_px]
        low, high = here.reshape(-1, 2).min(0), here.reshape(-1, 2).max(0)
        corners[mine] = here - low + [left + margin_px, margin_px]
        left += float(high[0] - low[0]) + 2 * margin_px
        height = max(height, float(high[1] - low[1]) + 2 * margin_px)
    return corners, (int(np.ceil(height)), int(np.ceil(left)))


def _average(faces: NDArray[np.int32], n: int) -> csr_matrix:
    """Row-normalised adjacency."""
    first, second = faces.ravel(), np.roll(faces, 1, 1).ravel()
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    adjacency = coo_matrix((np.ones(len(rows), np.float32), (rows, columns)), (n, n)).tocsr()
    adjacency.data[:] = 1
    degree = np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1e-6)
    return csr_matrix(adjacency.multiply(1 / degree[:, None]), dtype=np.float32)


def _rasterize_atlas(
    faces: NDArray[np.int32], corner_uvs: NDArray[np.float32], kinds: NDArray[np.int8], size: tuple[int, int]
) -> MeshFragments:
    """Draw the charts themselves: corners become vertices of their own, at unit depth."""
    outer = np.nonzero(kinds == TriangleKind.OUTER)[0]
    flat = np.concatenate([corner_uvs[outer].reshape(-1, 2), np.ones((3 * len(outer), 1), np.float32)], 1)
    loose = np.arange(len(flat), dtype=np.int32).reshape(-1, 3)
    drawn = rasterize_mesh(flat, loose, size[1], size[0], cull_backfaces=False)
    face = np.where(drawn.face >= 0, outer[drawn.face], -1).astype(np.int32)
    return MeshFragments(drawn.depth, face, drawn.weights)
