"""Growing, pruning and refilling the points of a decoder that names its point tensors (P A.1.2).

::

    every 5 epochs     grow towards 130,000 points: new ones beside random old ones
    then               scales × 0.75; points with opacity < 0.5 go; refill to 130,000 within 4 mm of those that stay

What happens is first decided as a `PointPlan` (which old point each new row descends from) and then carried out on
everything that has a row a point: parameters, buffers, and Adam's moments. A row that stays keeps its moments, a new
row starts with none; the released code re-creates the optimiser instead and loses them, with its rate schedule.

Decisions depend on the seed, the step and the parameters only, and so are the same on all workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from perse.avatar.decoder import PointPlan


@dataclass(frozen=True, kw_only=True)
class DensificationConfig:
    """Schedule of growing and pruning. Times are shares of the training, 5 epochs of 112 each (P A.1.2)."""

    target: int = 130_000
    """Points to grow to."""
    every: float = 5 / 112
    """Share of the training between two events."""
    grow_factor: float = 2.0
    """How many times more points an event leaves, until the target is reached."""
    shrink: float = 0.75
    """Factor on all scales once the target is reached."""
    prune_opacity: float = 0.5
    """Points below this in every subject looked at are removed."""
    radius_m: float = 0.004
    """New points lie about this far from their parents."""
    until: float = 0.9
    """No event after this share of the training, so that the last points can settle."""


def plan_growth(n: int, wanted: int, rng: np.random.Generator) -> PointPlan:
    """Keep all n points and add children of random ones until there are `wanted`."""
    added = max(wanted - n, 0)
    children = torch.from_numpy(rng.integers(0, n, added))
    return PointPlan(torch.cat([torch.arange(n), children]), torch.arange(n + added) >= n)


def plan_prune(opacities: Float[Tensor, " n"], threshold: float, wanted: int, rng: np.random.Generator) -> PointPlan:
    """Drop points whose opacity [n] is below the threshold and refill with children of those that stay.

    If nothing would stay the most opaque tenth does: an avatar without points could not recover.
    """
    stays = opacities >= threshold
    if not stays.any():
        stays = opacities >= torch.quantile(opacities, 0.9)
    kept = torch.nonzero(stays)[:, 0]
    children = kept[torch.from_numpy(rng.integers(0, len(kept), max(wanted - len(kept), 0)))]
    parents = torch.cat([kept, children])
    return PointPlan(parents, torch.arange(len(parents)) >= len(kept))


def carried_moments(
    moments: dict[str, Tensor], prefix: str, names: tuple[str, ...], plan: PointPlan
) -> dict[str, Tensor]:
    """Adam's moments after a plan: rows that stay keep theirs, fresh rows start at zero.

    Args:
        moments: named "<parameter>/<field>", as `training.optimiser` writes them.
        prefix: of the decoder's parameter names, such as "decoder.".
        names: the decoder's per-point tensors.
    """
    carried = dict(moments)
    for name in names:
        for field in ("exp_avg", "exp_avg_sq"):
            key = f"{prefix}{name}/{field}"
            if key in moments:
                rows = moments[key][plan.parents]
                rows[plan.fresh] = 0
                carried[key] = rows
    return carried
