"""Hair that hangs over neck, shoulders and back."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from perse.body.fitting.bare_skin import LEAST, SEEN
from perse.body.model import BodyRegion, in_regions

HAIRY = 0.5
LOWEST, WIDEST = 0.05, 0.9
"""Quantiles of what is seen of it: some vertices beside it are always taken for hair."""
NARROWEST_M, NECKS = 0.06, 2.0
"""Half the width of hair on a back: at least so much, at most so many times half the neck's width."""
BEHIND, ASIDE = 0.0, 0.5
"""The back's normals point forwards by less than this, and the sides' of a neck that hair hides, which was a patch of
skin in the middle of hair."""


def hanging_hair(
    template: Float[Tensor, "v 3"],
    normals: Float[Tensor, "v 3"],
    regions: Int[Tensor, " v"],
    seen: Float[Tensor, " v"],
    hair: Float[Tensor, " v"],
) -> Bool[Tensor, " v"]:
    """[v], vertices below the head that hair hangs over: where the photograph shows it, and as far down the back as in
    front, since hair that is long before the shoulders is long behind them.

    Args:
        template, normals: rest pose, metres, y up, z forwards.
        regions: values of `BodyRegion`.
        seen: in [0, 1]; hair: in [0, 1], the tracked portrait's hair mask at each vertex.
    """
    below = in_regions(regions, BodyRegion.NECK, BodyRegion.TORSO)
    shown = (below | (regions == BodyRegion.UPPER_ARM)) & (seen > SEEN) & (hair > HAIRY)
    if int(shown.sum()) < LEAST:
        return torch.zeros_like(shown)
    level, neck = float(template[shown, 1].quantile(LOWEST)), regions == BodyRegion.NECK
    widest = NECKS * float(template[neck, 0].abs().max())
    wide = max(NARROWEST_M, min(float(template[shown, 0].abs().quantile(WIDEST)), widest))
    back = below & (normals[:, 2] < BEHIND) & (template[:, 1] > level) & (template[:, 0].abs() < wide)
    beside = neck & (normals[:, 2] < ASIDE)
    return shown | ((back | beside) & ~(seen > SEEN))
