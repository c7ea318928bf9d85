"""Places of points that a subject does not show: where it shows the same part of its own.

After the first stage of training the points of a top hat's crown are where the crown is for every subject, and only
their opacity differs: half-way to a beanie the crown is a haze above the beanie. What a subject hides can be anywhere,
so it may as well wait for its turn on the subject's own surface: the way between two subjects then carries the points
of each from one surface to the other, and the crown grows out of the beanie.

For two subjects of a category, a *piece* is what the edit added or recoloured. A number of points of both pieces are
matched by the least sum of squared distances (optimal transport); the others move as those near them do and end on the
nearest point of the other piece, whose colour they take. No subject's own points change, so neither do the subjects,
but for what shines through of points that are nearly transparent (`LEAST_LOGIT`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from torch import Tensor

from perse.avatar.canonical import COLOR, MEAN, OPACITY

SHOWN, HIDDEN = 0.3, 0.08
"""Opacities from which a point counts as shown, and up to which as hidden."""

RECOLOURED = 0.3
"""Difference of a colour, of 1, from the reference's from which a shown point is part of the edit."""

LEAST_LOGIT = -4.0
"""Hidden points on a subject's surface are given at least this opacity (0.018): from less they would not be seen before
the last third of the way to where they are shown."""

LINK_M = 0.015
"""Points of a piece up to this far apart hang together."""

LEAST_SHARE = 0.1
"""A group of points that hang together belongs to the piece if it has this share of what the edit added: two earrings
are two groups, and a few points that light has tinted are none."""

LEAST_ADDED = 20
"""An edit that adds fewer points than this is painted: nothing grows out of a moustache, and what lay on it took the
colour of the lips beside it."""

MATCHED, CARRIED_BY = 500, 8
"""Points of two pieces that are matched, and how many near ones carry another point."""


@dataclass(frozen=True)
class ShownPoints:
    """Visibility of m points in the subjects of a category.

    Attributes:
        attributes: [s, m, 14] of the subjects, logits of opacity and colour.
        reference: [m, 14] of the reference.
    """

    attributes: Float[Tensor, "s m 14"]
    reference: Float[Tensor, "m 14"]


@torch.no_grad()
def waiting_changes(look: ShownPoints, *, seed: int = 0) -> Float[Tensor, "s m 14"]:
    """Changes of the attributes [s, m, 14] of points that a subject hides: place, colour and least opacity.

    Points that the reference shows, or that nobody does, stay.
    """
    opacities = torch.sigmoid(look.attributes[..., OPACITY]).flatten(1)
    hidden_before = torch.sigmoid(look.reference[..., OPACITY]).flatten() < HIDDEN
    pieces = [torch.from_numpy(_piece(attributes, look.reference)) for attributes in look.attributes]
    owner = opacities.argmax(0)
    rng = np.random.default_rng(seed)
    changes = torch.zeros_like(look.attributes)
    for here, there in permutations(range(len(pieces)), 2):
        waiting = (opacities[there] > SHOWN) & (opacities[here] < HIDDEN) & hidden_before & (owner == there)
        if waiting.any() and pieces[here].any() and pieces[there].any():
            own, others = look.attributes[here], look.attributes[there]
            points, piece, target = others[waiting], others[pieces[there]], own[pieces[here]]
            nearest = _nearest_on(points[:, MEAN].numpy(), piece[:, MEAN].numpy(), target[:, MEAN].numpy(), rng)
            changes[here, waiting] = _change(own[waiting], target[torch.from_numpy(nearest)])
    return changes


def _change(now: Tensor, then: Tensor) -> Tensor:
    """What brings hidden points [p, 14] to the place and the colour of others [p, 14], just not quite transparent."""
    change = torch.zeros_like(now)
    for part in (MEAN, COLOR):
        change[:, part] = then[:, part] - now[:, part]
    change[:, OPACITY] = (LEAST_LOGIT - now[:, OPACITY]).clamp_min(0)
    return change


def _piece(attributes: Float[Tensor, "m 14"], reference: Float[Tensor, "m 14"]) -> Bool[np.ndarray, " m"]:
    """Which points an edit has added or recoloured, without stray ones; none of an edit that is painted."""
    shown = torch.sigmoid(attributes[:, OPACITY]).flatten() > SHOWN
    added = shown & (torch.sigmoid(reference[:, OPACITY]).flatten() < HIDDEN)
    difference = (torch.sigmoid(attributes[:, COLOR]) - torch.sigmoid(reference[:, COLOR])).abs().amax(-1)
    chosen = (added | (shown & (difference > RECOLOURED))).numpy()
    if int(added.sum()) < LEAST_ADDED:
        return np.zeros_like(chosen)
    places = attributes[torch.from_numpy(chosen)][:, MEAN].numpy()
    pairs = cKDTree(places).query_pairs(LINK_M, output_type="ndarray")
    linked = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))
    _, group = connected_components(linked, directed=False)
    counted = added.numpy()[chosen]
    share = np.bincount(group, weights=counted) / counted.sum()
    chosen[chosen] = share[group] >= LEAST_SHARE
    return chosen


def _nearest_on(
    points: Float32[np.ndarray, "p 3"],
    piece: Float32[np.ndarray, "a 3"],
    other: Float32[np.ndarray, "b 3"],
    rng: np.random.Generator,
) -> Int64[np.ndarray, " p"]:
    """For points of a piece, the points of the other piece to which the matching carries them."""
    count = min(MATCHED, len(piece), len(other))
    first, second = (_chosen(one, count, rng) for one in (piece, other))
    rows, columns = linear_sum_assignment(cdist(first, second, "sqeuclidean"))
    starts, moves = first[rows], second[columns] - first[rows]
    distances, near = cKDTree(starts).query(points, k=min(CARRIED_BY, count))
    weights = 1 / (distances**2 + 1e-6)
    carried = points + np.einsum("pk,pkc->pc", weights / weights.sum(1, keepdims=True), moves[near])
    return np.asarray(cKDTree(other).query(carried)[1], np.int64)


def _chosen(points: Float32[np.ndarray, "n 3"], count: int, rng: np.random.Generator) -> Float32[np.ndarray, "c 3"]:
    return points[np.sort(rng.choice(len(points), count, replace=False))]
