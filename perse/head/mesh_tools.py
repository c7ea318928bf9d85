"""Small tools on triangle meshes that the head builders share. Plain numpy, no state."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_matrix, csr_matrix, diags


def triangulate(quads: Int64[np.ndarray, "q 4"]) -> Int64[np.ndarray, "2*q 3"]:
    """Triangles [2 q, 3] of quads [q, 4]; the two of a quad stay neighbours, winding is kept."""
    return quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def neighbour_average(faces: Int64[np.ndarray, "t 3"], n_vertices: int) -> csr_matrix:
    """Row-normalised adjacency [v, v]: one product replaces each value by the mean of its edge neighbours."""
    first = np.concatenate([faces[:, 0], faces[:, 1], faces[:, 2]])
    second = np.concatenate([faces[:, 1], faces[:, 2], faces[:, 0]])
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    adjacency = coo_matrix((np.ones(len(rows)), (rows, columns)), (n_vertices, n_vertices)).tocsr()
    adjacency.data[:] = 1
    degree = np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1)
    return csr_matrix(diags(1 / degree) @ adjacency)


def smooth_values(
    values: Float64[np.ndarray, "v ..."], average: csr_matrix, rounds: int
) -> Float64[np.ndarray, "v ..."]:
    """Values [v] or [v, c] after half-way steps towards the neighbours' mean."""
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * (average @ values)
    return values


def vertex_normals(vertices: Float64[np.ndarray, "v 3"], faces: Int64[np.ndarray, "t 3"]) -> Float64[np.ndarray, "v 3"]:
    """Area-weighted unit normals [v, 3], outward for counter-clockwise faces; zeros at unused vertices."""
    corners = vertices[faces]
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], crossed)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def affine_weights(points: Float64[np.ndarray, "n 3"], goal: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, " n"]:
    """The smallest weights [n] that sum to one and express `goal` [3] through `points` [n, 3].

    A joint regressed this way follows any affine change of its neighbourhood exactly.
    """
    n = len(points)
    system = np.concatenate([points.T, np.ones((1, n))])
    wanted = np.concatenate([goal, [1.0]])
    even = np.full(n, 1 / n)
    return even + np.linalg.lstsq(system, wanted - system @ even, rcond=None)[0]


def without_similarity(
    displacement: Float64[np.ndarray, "v 3"], vertices: Float64[np.ndarray, "v 3"], reference: Bool[np.ndarray, " v"]
) -> Float64[np.ndarray, "v 3"]:
    """Displacement field without translation, rotation and scale, as measured on some vertices.

    A camera cannot tell a bigger head from a nearer one, so identity components should not contain either.

    Args:
        displacement: [v, 3].
        vertices: [v, 3] before the displacement.
        reference: [v] bool, where the similarity is measured.
    """
    moved = vertices + displacement
    source, target = moved[reference], vertices[reference]
    source_mean, target_mean = source.mean(0), target.mean(0)
    u, singular, vt = np.linalg.svd((target - target_mean).T @ (source - source_mean))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = (singular * sign).sum() / ((source - source_mean) ** 2).sum()
    return scale * (moved - source_mean) @ rotation.T + target_mean - vertices
