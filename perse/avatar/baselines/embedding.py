"""Points bound to a triangle mesh: a triangle, barycentric coordinates, and how far off along the normal.

The embedding of SplattingAvatar (Shao et al., CVPR 2024): x = Σ b_i v_i + d · n(b), with n the interpolated normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import normalize

from perse.avatar.points import vertex_normals
from perse.geometry import matrix_to_quaternion

CANDIDATES = 12
"""Triangles by nearest centre among which a point's nearest one is looked for."""


@dataclass(frozen=True)
class Embedding:
    """Embedding of n points on a mesh at rest.

    Attributes:
        triangles: [n] int64; weights: [n, 3] barycentric, at least 0, rows sum to one.
        heights: [n] metres along the interpolated normal.
        rest_offsets: [n, 3] metres, what is missing: 0 above a face, not beyond the mesh's border.
    """

    triangles: Int[Tensor, " n"]
    weights: Float[Tensor, "n 3"]
    heights: Float[Tensor, " n"]
    rest_offsets: Float[Tensor, "n 3"]


def embed(points: Float[Tensor, "n 3"], vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "t 3"]) -> Embedding:
    """Bind points [n, 3] to the nearest places of a mesh [v, 3], [t, 3]."""
    corners = vertices[faces]  # [t, 3, 3]
    count = min(CANDIDATES, len(faces))
    near = torch.from_numpy(cKDTree(corners.mean(1).numpy()).query(points.numpy(), k=count)[1]).reshape(len(points), -1)
    weights = nearest_weights(points[:, None].expand(-1, near.shape[1], -1), corners[near])  # [n, c, 3]
    places = (weights[..., None] * corners[near]).sum(-2)
    best = (places - points[:, None]).norm(dim=-1).argmin(1)
    rows = torch.arange(len(points))
    triangles, chosen = near[rows, best], weights[rows, best]
    off = points - places[rows, best]
    normals = interpolated_normals(vertex_normals(vertices, faces), faces[triangles], chosen)
    heights = (off * normals).sum(-1)
    return Embedding(triangles, chosen, heights, off - heights[:, None] * normals)


def nearest_weights(points: Float[Tensor, "*b 3"], corners: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Barycentric coordinates [..., 3] of the nearest place of a triangle [..., 3, 3] to a point [..., 3]."""
    a, b, c = corners.unbind(-2)
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = ((x * y).sum(-1) for x, y in ((ab, ab), (ab, ac), (ac, ac)))
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = (d00 * d11 - d01 * d01).clamp_min(1e-20)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = torch.stack([1 - v - w, v, w], -1)
    edges = torch.stack([_on_edge(points, corners, i, j) for i, j in ((0, 1), (1, 2), (2, 0))], -2)  # [..., 3, 3]
    places = edges @ corners
    nearest = (places - points[..., None, :]).norm(dim=-1).argmin(-1)
    on_edge = torch.gather(edges, -2, nearest[..., None, None].expand(*nearest.shape, 1, 3))[..., 0, :]
    return torch.where((inside >= 0).all(-1, keepdim=True), inside, on_edge)


def _on_edge(points: Tensor, corners: Tensor, i: int, j: int) -> Tensor:
    start, along = corners[..., i, :], corners[..., j, :] - corners[..., i, :]
    share = (((points - start) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-20)).clamp(0, 1)
    weights = torch.zeros_like(points)
    weights[..., i], weights[..., j] = 1 - share, share
    return weights


def interpolated_normals(
    normals: Float[Tensor, "*b v 3"], corners: Int[Tensor, "n 3"], weights: Float[Tensor, "... n 3"]
) -> Float[Tensor, "*b n 3"]:
    """Unit normals [..., n, 3] of vertex normals [..., v, 3] at corners [n, 3] int64 with weights [..., n, 3]."""
    return normalize((normals[..., corners, :] * weights[..., None]).sum(-2), dim=-1)


def triangle_turns(vertices: Float[Tensor, "f v 3"], faces: Int[Tensor, "t 3"]) -> Float[Tensor, "f t 4"]:
    """Orientation of triangles [f, t] as quaternions [f, t, 4]: x along the first edge, z along the normal."""
    corners = vertices[..., faces, :]
    x = normalize(corners[..., 1, :] - corners[..., 0, :], dim=-1)
    z = normalize(torch.linalg.cross(x, corners[..., 2, :] - corners[..., 0, :]), dim=-1)
    return matrix_to_quaternion(torch.stack([x, torch.linalg.cross(z, x), z], -1))
