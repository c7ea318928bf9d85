"""Refinement of a head mesh: long edges are split, so that an inflated scalp has a round outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, identity

_PATTERNS = {
    1: ((0, 3, 2), (3, 1, 2)),
    2: ((0, 3, 2), (3, 4, 2), (3, 1, 4)),
    3: ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)),
}
"""Triangles by the number of split edges: corners 0, 1, 2 and midpoints 3 (of 01), 4 (of 12), 5 (of 20)."""


@dataclass(frozen=True)
class RefinedHead:
    """A refined mesh that follows the head model's: every vertex is a fixed mixture of model vertices.

    Attributes:
        mixture: [n, v] sparse float32; fine vertices = mixture @ model vertices.
        faces: [t, 3] int32, counter-clockwise seen from outside.
        corner_uvs: [t, 3, 2] float32; kept by corner, so that seams need no care.
        origin: [t] int32, the model's triangle that each one comes from.
    """

    mixture: csr_matrix
    faces: Int32[NDArray[np.int32], "t 3"]
    corner_uvs: Float32[NDArray[np.float32], "t 3 2"]
    origin: Int32[NDArray[np.int32], " t"]


def refine(
    vertices: Float32[NDArray[np.float32], "v 3"],
    faces: Int32[NDArray[np.int32], "t 3"],
    corner_uvs: Float32[NDArray[np.float32], "t 3 2"],
    splittable: Bool[NDArray[np.bool_], " t"],
    longest_m: float,
    rounds: int,
) -> RefinedHead:
    """Refined mesh without edges longer than `longest_m` metres and without T-junctions.

    Args:
        vertices: [v, 3] metres, in which edges are measured.
        splittable: [t] bool; only edges of these triangles are split (their neighbours follow).
    """
    mixture: csr_matrix = identity(len(vertices), dtype=np.float32, format="csr")
    origin = np.arange(len(faces), dtype=np.int32)
    for _ in range(rounds):
        positions = mixture @ vertices
        edges, edge_of = _edges(faces)
        length = np.linalg.norm(positions[edges[:, 0]] - positions[edges[:, 1]], axis=1)
        wanted = np.zeros(len(edges), bool)
        wanted[edge_of[splittable[origin]]] = True
        split = wanted & (length > longest_m)
        if not split.any():
            break
        mixture = _with_midpoints(mixture, edges[split])
        midpoint = np.full(len(edges), -1, np.int32)
        midpoint[split] = len(positions) + np.arange(split.sum(), dtype=np.int32)
        faces, corner_uvs, origin = _split_faces(faces, corner_uvs, origin, midpoint[edge_of])
    return RefinedHead(mixture, faces, corner_uvs, origin)


def _edges(faces: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Unique edges [e, 2] and, for every triangle, its edges (01, 12, 20) [t, 3]."""
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, 1)], -1), -1)
    edges, inverse = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    return edges, inverse.reshape(-1, 3)


def _with_midpoints(mixture: csr_matrix, edges: NDArray[np.int32]) -> csr_matrix:
    n_old, n_new = mixture.shape[0], len(edges)
    rows = np.concatenate([np.arange(n_old), np.repeat(n_old + np.arange(n_new), 2)])
    columns = np.concatenate([np.arange(n_old), edges.ravel()])
    values = np.concatenate([np.ones(n_old), np.full(2 * n_new, 0.5)]).astype(np.float32)
    return csr_matrix(coo_matrix((values, (rows, columns)), (n_old + n_new, n_old)).tocsr() @ mixture)


def _split_faces(
    faces: NDArray[np.int32],
    uvs: NDArray[np.float32],
    origin: NDArray[np.int32],
    midpoints: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
    """Cut each triangle by its split edges (midpoint index or -1 for its edges 01, 12, 20)."""
    count = (midpoints >= 0).sum(1)
    new_faces, new_uvs, new_origin = [faces[count == 0]], [uvs[count == 0]], [origin[count == 0]]
    for n_split, pattern in _PATTERNS.items():
        chosen = np.nonzero(count == n_split)[0]
        if not len(chosen):
            continue
        turn = _turn(midpoints[chosen] >= 0, n_split)
        order = (turn[:, None] + np.arange(3)) % 3
        rows = chosen[:, None]
        six = np.concatenate([faces[rows, order], midpoints[rows, order]], 1)
        corner = uvs[rows, order]
        six_uvs = np.concatenate([corner, 0.5 * (corner + np.roll(corner, -1, 1))], 1)
        for triple in pattern:
            new_faces.append(six[:, triple])
            new_uvs.append(six_uvs[:, triple])
            new_origin.append(origin[chosen])
    return np.concatenate(new_faces), np.concatenate(new_uvs).astype(np.float32), np.concatenate(new_origin)


def _turn(is_split: NDArray[np.bool_], n_split: int) -> NDArray[np.int64]:
    """How far to turn each triangle so that its split edges are 01, or 01 and 12, or all."""
    if n_split == 1:
        return is_split.argmax(1)
    if n_split == 2:
        return ((~is_split).argmax(1) + 1) % 3
    return np.zeros(len(is_split), np.int64)
