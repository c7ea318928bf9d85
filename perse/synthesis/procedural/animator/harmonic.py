"""Harmonic continuation of values known on part of a mesh: Laplace's equation on its graph."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.linalg import splu


def extend(
    values: Float[NDArray[np.floating], "n ..."],
    confidence: Float[NDArray[np.floating], " n"],
    average: csr_matrix,
    among: Bool[NDArray[np.bool_], " n"],
    softness: float = 1.0,
) -> Float32[NDArray[np.float32], "n ..."]:
    """Values with the unknown ones filled in, so that each of these is the mean of its neighbours.

    Minimises Σ c_i (x_i − value_i)² + softness · Σ (x_i − mean of neighbours)²-like energy through one sparse solve;
    confidences far above `softness` pin a value, zeros leave it free.

    Args:
        values: [n] or [n, c].
        confidence: [n] ≥ 0.
        average: [n, n] row-normalised adjacency.
        among: [n] bool, the vertices that take part; the graph is cut elsewhere.

    Returns:
        Like `values`, float32; outside `among` the input is returned. Where a piece of the graph knows nothing, the
        confidence-weighted mean of all values is taken.
    """
    out = np.array(values, np.float32)
    index = np.nonzero(among)[0]
    if not len(index):
        return out
    known = np.asarray(confidence, np.float64)[index]
    wanted = np.asarray(values, np.float64)[index].reshape(len(index), -1)
    mean = (known[:, None] * wanted).sum(0) / max(known.sum(), 1e-12)
    links = average[index][:, index]
    degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1e-6)
    laplacian = identity(len(index)) - diags(1 / degree) @ links
    tiny = 1e-7  # ties a piece that knows nothing to the mean, and keeps the matrix regular
    system = diags(known + tiny) + softness * laplacian
    # Its pattern is symmetric and its diagonal dominates: an order made for that, and no pivots, save a third.
    factors = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    solved = factors.solve(known[:, None] * wanted + tiny * mean)
    out[index] = solved.reshape(out[index].shape)
    return out


def smooth(
    values: Float[NDArray[np.floating], "n ..."], average: csr_matrix, rounds: int
) -> Float[NDArray[np.floating], "n ..."]:
    """Values after half-way steps towards the neighbours' mean."""
    result = np.asarray(values, np.float32)
    for _ in range(rounds):
        result = 0.5 * result + 0.5 * (average @ result)
    return result
