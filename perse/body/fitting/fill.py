"""Colours of what the photograph does not show: taken through the body from what it does."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.fitting.hair_detail import lock_brightness
from perse.body.model.covers import Cover
from perse.synthesis.procedural.animator.by_example import Example

SEEN = 0.6
DEPTH_SHARE = 0.3
"""A centimetre of depth counts as 3 mm: a back has its front's colours, the stripes at their heights."""
NEIGHBOURS, PLAIN_NEIGHBOURS = 6, 60
"""Sources of a colour; many where a cover has one colour, so that no single place is copied to the back."""
BLUR_M = 0.006
"""Standard deviation across the surface of what cloth takes from its front: stripes stay stripes."""
WELL_SEEN = 0.9
"""What a plain cover is taken from: not the rim, where the background has mixed in."""
BORDER_M = 0.01
"""So near to another cover a place of cloth may show that one: where a collar ends is known to a few millimetres."""
INSIDE_M = 0.015
"""What other places of cloth are coloured from lies so far inside of its cover: one point at 11 mm, half skin, was the
nearest of a whole back's collar, which had a notch."""
LEAST = 30
UNSEEN_COLOR = {
    Cover.SKIN: (200, 160, 135), Cover.HAIR: (90, 70, 55), Cover.UPPER: (120, 120, 125), Cover.LOWER: (52, 56, 66),
    Cover.SHOES: (45, 40, 38),
}  # fmt: skip
"""Where nothing of a cover is seen: nobody knows; plain and dull, so that it is not taken for a finding."""


SHADED = (0.5, 1.5)
"""Brightness, relative to the middle one's, within which a colour is the same in other light: a neck below a chin."""
EVEN = (0.85, 1.15)
"""The same of what is carried elsewhere: a chin's shadow does not belong on a nape."""
SPREAD = (2.0, 4.0)
"""Bounds of that deviation."""
ODD = 2.5
"""Robust deviations from the middle colour from which on a place of skin or hair shows something else."""
PLAIN = (Cover.SKIN, Cover.HAIR)
"""Covers that have one colour, more or less; what differs is a collar beside the neck, a forehead below the fringe."""


def fill_colors(
    rest: Float[Tensor, "n 3"],
    covers: Int[Tensor, " n"],
    colors: Float[Tensor, "n 3"],
    seen: Float[Tensor, " n"],
    hair: Example | None = None,
) -> Float[Tensor, "n 3"]:
    """Colours in [0, 1] of surface points in rest pose, metres.

    Args:
        covers: values of `Cover`.
        colors: the photograph's; seen: in [0, 1], where they may be trusted.
        hair: the photographed hair, whose locks go on behind; without it hair has one colour there.
    """
    fill = colors.clone()
    flat = rest * torch.tensor([1.0, 1.0, DEPTH_SHARE])
    for cover, unseen in UNSEEN_COLOR.items():
        own = covers == cover
        if not own.any():
            continue
        sources, neighbours = own & (seen > SEEN), NEIGHBOURS
        inner = own & (seen > WELL_SEEN) & away_from(rest, own, ~own, INSIDE_M)
        if cover not in PLAIN and int(inner.sum()) >= LEAST:
            sources = inner
        well_seen = own & (seen > WELL_SEEN)
        if cover in PLAIN and int(well_seen.sum()) >= LEAST:
            sources, neighbours = well_seen & alike(colors, well_seen, EVEN), PLAIN_NEIGHBOURS
        if int(sources.sum()) < LEAST:
            fill[own] = torch.tensor(unseen, dtype=torch.float32) / 255
            continue
        distances, nearest = cKDTree(flat[sources].numpy()).query(
            flat[own].numpy(), k=min(neighbours, int(sources.sum()))
        )
        nearness = _weights(np.asarray(distances), neighbours)
        weights = torch.from_numpy((nearness / nearness.sum(1, keepdims=True)).astype(np.float32))
        taken = colors[sources][torch.from_numpy(np.asarray(nearest))]
        fill[own] = (weights[..., None] * taken).sum(1)
        if cover == Cover.HAIR and hair is not None:
            fill[own] *= lock_brightness(rest[own], hair)[:, None]
    return fill.clamp(0, 1)


def away_from(
    rest: Float[Tensor, "n 3"], own: Bool[Tensor, " n"], other: Bool[Tensor, " n"], distance_m: float
) -> Bool[Tensor, " n"]:
    """Mask [n] of own points that are at least so far from all others."""
    far = own.clone()
    if bool(other.any()):
        nearest, _ = cKDTree(rest[other].numpy()).query(rest[own].numpy(), distance_upper_bound=distance_m)
        far[own] = torch.from_numpy(~np.isfinite(np.asarray(nearest)))
    return far


def _weights(distances: NDArray[np.float64], neighbours: int) -> NDArray[np.float64]:
    """Of sources at distances [n, k], not yet shares."""
    if neighbours == PLAIN_NEIGHBOURS:
        return np.asarray(1 / np.maximum(distances, 2e-3))
    # All are as far through the body; what counts is how much further than the nearest they are beside it.
    beside = np.square(distances) - np.square(distances.min(1, keepdims=True))
    return np.asarray(np.exp(-0.5 * beside / BLUR_M**2))


def alike(
    colors: Float[Tensor, "n 3"], sources: Bool[Tensor, " n"], light: tuple[float, float] = SHADED
) -> Bool[Tensor, " n"]:
    """Mask [n] of colours in [0, 1] that are not far from the middle one of the sources: median and its deviation, in
    Lab.

    Args:
        light: brightness, relative to the middle one's, that makes no other colour.
    """
    bright = colors.mean(1).clamp(min=1e-3)
    relit = (colors / (bright / bright[sources].median()).clamp(*light)[:, None]).clamp(0, 1)
    lab = torch.from_numpy(cv2.cvtColor(relit.numpy()[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0])
    middle = lab[sources].median(0).values
    off = (lab - middle).norm(dim=-1)
    return off < ODD * off[sources].median().clamp(*SPREAD)
