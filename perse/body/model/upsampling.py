"""Refinement of a mesh: edges no longer than wanted, and vertices that are fixed mixtures of the model's.

Whatever the model has at its vertices (bases, weights, regions) the finer mesh has too: one sparse product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity, vstack
from torch import Tensor

from perse.geometry.sparse_tensors import csr_tensor

Ints = NDArray[np.int64]

MAX_ROUNDS = 6
INSET = 1.1
"""How far below the surface a Gaussian stands at first, in its standard deviations: half of what it covers lies
outside of it, and a silhouette that is too wide is paid for with white rims."""


@dataclass(frozen=True)
class FineMesh:
    """A finer mesh.

    Attributes:
        mixture: sparse [n, v], rows sum to one; the first v rows are the coarse vertices themselves.
        faces: [t, 3] int64 into the n vertices.
    """

    mixture: csr_matrix
    faces: Int64[NDArray[np.int64], "t 3"]

    def __len__(self) -> int:
        return int(self.mixture.shape[0])

    def of(self, values: Float[Tensor, "v ..."]) -> Float[Tensor, "n ..."]:
        """Values of the coarse vertices [v, ...] at the fine ones [n, ...]; a constant, no gradient."""
        flat = values.detach().cpu().numpy().reshape(values.shape[0], -1)
        return torch.from_numpy(np.asarray(self.mixture @ flat, np.float32)).reshape(len(self), *values.shape[1:])


def sparse(matrix: csr_matrix) -> Float[Tensor, "n v"]:
    """A scipy matrix as a torch CSR tensor, which gradients flow through."""
    plain = csr_matrix(matrix.astype(np.float32))
    rows, columns = (torch.from_numpy(one.astype(np.int64)) for one in (plain.indptr, plain.indices))
    return csr_tensor(rows, columns, torch.from_numpy(plain.data), plain.shape)


@dataclass(frozen=True)
class EdgeLengths:
    """Greatest lengths of the edges of a finer mesh.

    Attributes:
        longest_m: [v], at the coarse vertices; vertices between them have means.
        shares: [v, c], what share of each vertex belongs to each of some kinds.
        border_m: between vertices of different kinds, so that a border follows its line and not the triangles.
    """

    longest_m: Float64[NDArray[np.float64], " v"]
    shares: Float64[NDArray[np.float64], "v c"]
    border_m: float

    @classmethod
    def everywhere(cls, n_vertices: int, longest_m: float) -> EdgeLengths:
        """Lengths that are the same for all edges."""
        return cls(np.full(n_vertices, longest_m), np.ones((n_vertices, 1)), longest_m)

    def allowed(self, mixture: csr_matrix, edges: Int[NDArray[np.int64], "*e 2"]) -> Float[NDArray[np.float64], "*e"]:
        """Longest lengths [...] of edges [..., 2] between mixtures of the coarse vertices."""
        kinds = np.asarray(mixture @ self.shares).argmax(1)[edges]
        longest = np.asarray(mixture @ self.longest_m)[edges].mean(-1)
        return np.where(kinds[..., 0] != kinds[..., 1], np.minimum(self.border_m, longest), longest)


def refined(
    vertices: Float[NDArray[np.float64], "v 3"], faces: Int[NDArray[np.int64], "t 3"], lengths: EdgeLengths
) -> FineMesh:
    """Mesh whose edges were halved until none is longer than wanted; neighbours stay joined."""
    mixture = csr_matrix(identity(len(vertices), format="csr"))
    points = vertices
    for _ in range(MAX_ROUNDS):
        edges = np.sort(np.stack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]], 1), -1)  # [t, 3, 2]
        long = np.linalg.norm(points[edges[..., 0]] - points[edges[..., 1]], axis=-1)
        long = long > lengths.allowed(mixture, edges)
        if not long.any():
            break
        split, where = np.unique(edges[long], axis=0, return_inverse=True)
        middle = np.full(long.shape, -1, np.int64)
        middle[long] = len(points) + where.ravel()
        n = len(split)
        rows, columns = np.repeat(np.arange(n), 2), split.ravel()
        halves = csr_matrix((np.full(2 * n, 0.5), (rows, columns)), (n, len(points)))
        mixture = csr_matrix(vstack([mixture, halves @ mixture]))
        points = np.concatenate([points, points[split].mean(1)])
        faces = _split(faces, middle)
    return FineMesh(mixture, faces)


def _split(faces: Ints, middle: Ints) -> Ints:
    """Triangles after their edges (01, 12, 20) got middles; -1 where an edge has none."""
    count = (middle >= 0).sum(1)
    parts = [faces[count == 0]]

    def add(corners: Ints, pattern: tuple[tuple[int, int, int], ...]) -> None:
        """Triangles from corners and middles [t, 6]: 0 1 2 are corners, 3 4 5 the middles of 01, 12 and 20."""
        parts.extend(corners[:, list(three)] for three in pattern)

    for turn in range(3):  # one or two halved edges, turned so that the odd one is the first
        order = [turn, (turn + 1) % 3, (turn + 2) % 3]
        turned = np.concatenate([faces[:, order], middle[:, order]], 1)
        add(turned[(count == 1) & (turned[:, 3] >= 0)], ((0, 3, 2), (3, 1, 2)))
        add(turned[(count == 2) & (turned[:, 3] < 0)], ((0, 1, 4), (0, 4, 5), (5, 4, 2)))
    every = np.concatenate([faces, middle], 1)
    add(every[count == 3], ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)))
    return np.concatenate(parts)


def one_ring(faces: Int[Tensor, "t 3"]) -> Int[Tensor, "e 2"]:
    """Edges [e, 2] of triangles [t, 3], each once."""
    ends = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return torch.unique(torch.sort(ends, 1).values, dim=0)


def vertex_areas(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "t 3"]) -> Float[Tensor, " v"]:
    """Areas [v] around vertices, square metres: a third of each triangle's for its corners."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    thirds = torch.linalg.cross(b - a, c - a).norm(dim=-1) / 6
    return torch.zeros(len(vertices)).index_add(0, faces.reshape(-1), thirds.repeat_interleave(3))


def unit_normals(points: Float[Tensor, "*f n 3"], faces: Int[Tensor, "t 3"]) -> Float[Tensor, "*f n 3"]:
    """Area-weighted unit normals [..., n, 3] of posed points [..., n, 3]; differentiable, the same bytes every time."""
    # The gradient of an indexed tensor is summed in whatever order threads arrive; that of index_select in one.
    a, b, c = (points.index_select(-2, faces[:, corner]) for corner in range(3))
    crossed = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(points)
    for corner in range(3):
        normals = normals.index_add(-2, faces[:, corner], crossed)
    return torch.nn.functional.normalize(normals, dim=-1, eps=1e-12)
