"""Backs of all subjects as attributes of the reference and differences from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.attributes import CATEGORIES, Category
from perse.avatar.backs.records import Backs, SubjectBack
from perse.avatar.canonical import pack_attributes
from perse.avatar.points import MeshPrior, quaternions_facing

OPAQUE, GONE = 3.5, -7.0
"""Logits of opacity of a point that is there, and of one that is not (below 1/255: it is not drawn)."""

WIDTH, FLATNESS = 0.65, 0.3
"""Size of a Gaussian along the surface, as a share of the points' distance, and across it, as a share of that."""


def looks_of(
    look: Callable[[int], SubjectBack], categories: Sequence[int], changing: Sequence[Category]
) -> list[SubjectBack]:
    """Look of every subject: the reference's, but for subjects of the categories that change it."""
    rows = {category.index for category in changing}
    reference = look(0)
    return [look(s) if k in rows else reference for s, k in enumerate(categories)]


def joined(
    looks: Sequence[SubjectBack],
    categories: Sequence[int],
    changing: Sequence[Category],
    normals: Float[Tensor, "n 3"],
    spacing: float,
    prior: Callable[[Float[Tensor, "n 3"], Int[Tensor, " _"]], MeshPrior],
    rows: Int[Tensor, " m"] | None = None,
) -> Backs | None:
    """Looks of all subjects as attributes of the reference and differences from them; points that nobody shows are
    left out."""
    kept = np.any([one.present for one in looks], axis=0)
    if not kept.any():
        return None
    index = torch.from_numpy(np.flatnonzero(kept))
    first = np.argmax([one.present for one in looks], axis=0)  # who shows the point; the reference if it does
    packed = [_packed(one, normals, spacing) for one in looks]
    own = torch.stack(packed)  # [s, n, 14]
    shown = own[torch.from_numpy(first), torch.arange(len(kept))]
    base = shown.clone()
    base[:, 10] = own[0, :, 10]
    edits = torch.where(torch.from_numpy(np.stack([one.present for one in looks]))[..., None], own - base, 0.0)
    edits[..., 10] = own[..., 10] - base[:, 10]
    regions = torch.zeros(len(kept), len(CATEGORIES), dtype=torch.bool)
    for subject, category in enumerate(categories):
        if category in {one.index for one in changing}:
            regions[:, category] |= edits[subject].abs().amax(-1) > 1e-4
        else:
            edits[subject] = 0
    base, edits, regions = base[index], edits[:, index], regions[index]
    return Backs(prior(base[:, :3], index if rows is None else rows[index]), base, regions, edits)


def _packed(look: SubjectBack, normals: Tensor, spacing: float) -> Tensor:
    means = torch.from_numpy(look.means).float()
    size = WIDTH * spacing * torch.tensor([1.0, 1.0, FLATNESS])
    opacity = torch.from_numpy(np.where(look.present, OPAQUE, GONE)).float()
    colors = torch.logit(torch.from_numpy(look.colors).float().clamp(0.02, 0.98))
    return pack_attributes(means, quaternions_facing(normals), size.log().expand(len(means), 3), opacity, colors)
