"""Cloth that a hand before it hides from the photograph."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.fitting.bare_skin import nearest
from perse.body.fitting.fill import LEAST, WELL_SEEN, alike, lab_of
from perse.body.model.covers import Cover

REACH_M, TOUCH_M = 0.06, 0.012
"""So near to a fitted hand, across the picture, a hand may be seen in place of cloth: fingers are fitted to 2 or 3 cm;
and so near its outline mixes the two."""


def hand_before_cloth(
    photo_m: Float[Tensor, "n 2"],
    colors: Float[Tensor, "n 3"],
    seen: Float[Tensor, " n"],
    covers: Int[Tensor, " n"],
    hands: Bool[Tensor, " n"],
) -> Bool[Tensor, " n"]:
    """Places of cloth [n] beside a hand that show the hand: of two people with their arms down, trousers and shorts had
    a second hand painted on the hip.

    Args:
        photo_m: places in the photograph, in metres at the person's distance.
        colors: in [0, 1], what the photograph has there; seen: in [0, 1], how well.
        covers: values of `Cover`; hands: which points are a hand's.
    """
    cloth = (covers == Cover.UPPER) | (covers == Cover.LOWER)
    hidden, shown = torch.zeros_like(cloth), hands & (seen > 0)
    skin = (covers == Cover.SKIN) & (seen > WELL_SEEN)
    if not bool(cloth.any()) or int(shown.sum()) < LEAST or int(skin.sum()) < LEAST:
        return hidden
    distances, _ = cKDTree(photo_m[shown].numpy()).query(photo_m[cloth].numpy())
    away = torch.full((len(cloth),), float("inf"))
    away[cloth] = torch.from_numpy(distances).float()
    own = cloth & (seen > WELL_SEEN) & (away > REACH_M)
    if int(own.sum()) < LEAST:
        return hidden
    beside = cloth & (away <= REACH_M)
    lab = lab_of(colors)
    hidden[beside] = nearest(lab[skin & alike(colors, skin)], lab[beside]) < nearest(lab[own], lab[beside])
    return hidden | (cloth & (away <= TOUCH_M))
