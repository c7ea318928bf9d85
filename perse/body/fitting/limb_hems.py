"""Where sleeves and trouser legs end: one line around a pair of limbs, above which is cloth and below which is skin."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from perse.body.fitting.bare_skin import LEAST
from perse.body.fitting.limbs import ARMS, LEGS, limb_of

STEPS = 60
APART = 0.25
"""A limb has a line of its own where the pair's is wrong of so many more of its vertices: one bare shoulder."""
SHOWN = 0.05
"""Limbs of which less is seen are dressed: most are, and nobody wants legs that a photograph does not show bare."""
WELL_TOLD = 0.35
"""Where the best line is wrong of more vertices than these, there is none: torn jeans, a tattoo."""


def bare_below_hems(
    template: Float[Tensor, "v 3"],
    joints: Float[Tensor, "55 3"],
    regions: Int[Tensor, " v"],
    skin: Float[Tensor, " v"],
    good: Bool[Tensor, " v"],
    otherwise: Float[Tensor, " v"],
) -> Float[Tensor, " v"]:
    """How bare each vertex is, in [0, 1]: of arms and legs 0 above the hem and 1 below it, elsewhere as it was.

    A wall that the person's mask took for a part of the person, a shadow or hair on an upper arm were patches of cloth
    on a bare limb, vertex by vertex.

    Args:
        template: rest pose, metres; joints: rest positions.
        regions: values of `BodyRegion`.
        skin: 1 where the colour is skin's; good: where that is seen.
        otherwise: what is known without a line.
    """
    bare = otherwise.clone()
    for pair in (ARMS, LEGS):
        limbs = [limb_of(template, joints, regions, chain) for chain in pair]
        both = limbs[0].own | limbs[1].own
        places = torch.cat([limb.along[limb.own & good] for limb in limbs])
        told = torch.cat([skin[limb.own & good] for limb in limbs])
        if len(places) < max(LEAST, SHOWN * int(both.sum())):
            bare[both] = 0.0
            continue
        hem, _ = _line(places, told)
        for limb in limbs:
            line = _own_line(limb.along[limb.own & good], skin[limb.own & good], hem)
            if line is not None:
                bare[limb.own] = (limb.along[limb.own] > line).float()
    return bare


def _line(places: Tensor, skin: Tensor) -> tuple[float, float]:
    """The place that parts cloth from skin best, and the share of vertices that it is wrong of. Where all that is seen
    is cloth, or all skin, the rest of the limb is too."""
    within = torch.linspace(float(places.min()), float(places.max()), STEPS)
    lines = torch.cat([torch.tensor([float("inf"), -float("inf")]), within])
    wrong = ((places[None] > lines[:, None]).float() - skin[None]).abs().mean(1)
    return float(lines[wrong.argmin()]), float(wrong.min())


def _own_line(places: Tensor, skin: Tensor, pair: float) -> float | None:
    """A limb's line: the pair's, or its own where that is much better; None where neither tells cloth from skin."""
    if not len(places):
        return pair
    line, wrong = _line(places, skin)
    of_pair = float(((places > pair).float() - skin).abs().mean())
    if wrong > WELL_TOLD:
        return None
    return line if of_pair > wrong + APART else pair
