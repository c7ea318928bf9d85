"""Skinning weights away from the surface: what hair and loose cloth follow.

A weight at a place in space is a mixture of the weights of the surface next to 13 places around it: the place itself
(1), six at one step along the axes (.5 each) and six at two steps (.3 each). The further from the body, the wider the
mixture is felt, so that a wide trouser leg follows both of its bones and no finger's cloth follows the next finger.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

STEP_M = 0.03
SHARES = (1.0, *[0.5] * 6, *[0.3] * 6)
"""Of the 13 places (docs/body.md#the-papers-numbers)."""
FULL_AT_M = 0.04
"""A point so far from the skin takes the diffused weights entirely, nearer ones in part."""


def offsets() -> Float[NDArray[np.float64], "13 3"]:
    """Offsets [13, 3] from a point of the places where weights are looked up, metres."""
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    return np.concatenate([np.zeros((1, 3)), STEP_M * axes, 2 * STEP_M * axes])


def diffused_weights(
    points: Float[NDArray[np.float64], "n 3"],
    surface: Float[NDArray[np.float64], "v 3"],
    weights: Float[NDArray[np.float64], "v j"],
) -> Float[NDArray[np.float64], "n j"]:
    """Weights [n, j] at points [n, 3] of space, from those [v, j] of surface points [v, 3]; rows sum to one."""
    tree = cKDTree(surface)
    rows = np.arange(len(points))
    mixing = csr_matrix((len(points), len(surface)))
    for offset, share in zip(offsets(), SHARES, strict=True):
        nearest = tree.query(points + offset)[1]
        mixing = mixing + csr_matrix((np.full(len(points), share / sum(SHARES)), (rows, nearest)), mixing.shape)
    return np.asarray(mixing @ weights)


def weights_of_layer(
    points: Float[NDArray[np.float64], "n 3"],
    thickness_m: Float[NDArray[np.float64], " n"],
    below: Float[NDArray[np.float64], "n j"],
    surface: Float[NDArray[np.float64], "v 3"],
    surface_weights: Float[NDArray[np.float64], "v j"],
) -> Float[NDArray[np.float64], "n j"]:
    """Weights [n, j] of a layer that stands off a surface.

    Args:
        points: [n, 3], the layer.
        thickness_m: [n], its distance from the surface.
        below: [n, j], weights of the skin below each of its points.
        surface, surface_weights: [v, 3] and [v, j], the body.
    """
    share = np.clip(thickness_m / FULL_AT_M, 0, 1)[:, None]
    mixed = below.copy()
    loose = share[:, 0] > 0.05
    mixed[loose] = diffused_weights(points[loose], surface, surface_weights)
    return np.asarray((1 - share) * below + share * mixed)
