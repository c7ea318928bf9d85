"""Colours of what the photograph does not show: taken through the body from what it does."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.fitting.hair_detail import lock_brightness
from perse.body.model.covers import Cover
from perse.synthesis.procedural.animator.by_example import Example

SEEN = 0.6
FLAT = torch.tensor([1.0, 1.0, 0.3])
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
RELIGHT_M, RELIGHT_BLUR_M = 0.07, 0.01
"""How far the photograph's light goes on over what it does not show, and over what distance its spots are evened."""
RELIGHT_MOST = 0.6
"""Of it, in natural logarithms: brighter by four fifths at most."""
DARKEST = 0.02
"""A colour in [0, 1] below which a ratio of two says nothing."""
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
MOSTLY = 0.5
"""Places of cloth that have skin's colour give it to no others, unless more than so many have it: a belly below a short
top, a hand before a pocket came out on a back."""
PALE = 4.5
"""The same of what is the cover's in other light: a chest in the sun is paler than a face, and no strand of hair."""
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
    fill, skin = colors.clone(), (covers == Cover.SKIN) & (seen > WELL_SEEN)
    bare = alike(colors, skin) if int(skin.sum()) >= LEAST else torch.zeros_like(skin)
    for cover, unseen in UNSEEN_COLOR.items():
        own = covers == cover
        if not own.any():
            continue
        plain, well_seen = cover in PLAIN, own & (seen > WELL_SEEN)
        if plain and int(well_seen.sum()) >= LEAST:
            fill[own] = _plain(rest, own, colors, well_seen, hair if cover == Cover.HAIR else None)
        else:
            inner = well_seen & away_from(rest, own, ~own, INSIDE_M)
            sources = inner if not plain and int(inner.sum()) >= LEAST else own & (seen > SEEN)
            cloth = sources & ~bare
            sources = cloth if int(cloth.sum()) > MOSTLY * int(sources.sum()) else sources
            enough = int(sources.sum()) >= LEAST
            fill[own] = _through(rest, own, colors, sources) if enough else torch.tensor(unseen).float() / 255
    return fill.clamp(0, 1)


def _plain(rest: Tensor, own: Tensor, colors: Tensor, well_seen: Tensor, hair: Example | None) -> Tensor:
    """[m, 3]: one colour, more or less, in the photograph's light where that ends."""
    fill = colors.clone()
    sources = well_seen & alike(colors, well_seen, EVEN)
    distances, nearest = _nearest(rest * FLAT, sources, own, PLAIN_NEIGHBOURS)
    fill[own] = _mean(colors[sources], nearest, 1 / distances.clamp(min=2e-3))
    if hair is not None:
        fill[own] *= lock_brightness(rest[own], hair)[:, None]
    known = well_seen & alike(colors, well_seen, odd=PALE)
    return fill[own] * relight(rest, fill, colors, known, own)


def _through(rest: Tensor, own: Tensor, colors: Tensor, sources: Tensor) -> Tensor:
    """[m, 3]: what is straight before a place. All sources are as far through the body; what counts is how much
    further than the nearest they are beside it."""
    distances, nearest = _nearest(rest * FLAT, sources, own, NEIGHBOURS)
    beside = distances.square() - distances.square().amin(1, keepdim=True)
    return _mean(colors[sources], nearest, torch.exp(-0.5 * beside / BLUR_M**2))


def _nearest(points: Tensor, sources: Tensor, own: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """Distances [m, k] of own points to their nearest sources, and which these are among the sources."""
    count = min(neighbours, int(sources.sum()))
    distances, nearest = cKDTree(points[sources].numpy()).query(points[own].numpy(), k=np.arange(1, count + 1))
    return torch.from_numpy(np.asarray(distances)), torch.from_numpy(np.asarray(nearest))


def _mean(values: Tensor, nearest: Tensor, weights: Tensor) -> Tensor:
    """[m, c]: values [s, c] of the nearest sources [m, k], weighed [m, k]."""
    shares = (weights / weights.sum(1, keepdim=True)).float()
    return (shares[..., None] * values[nearest]).sum(1)


def relight(
    rest: Float[Tensor, "n 3"],
    fill: Float[Tensor, "n 3"],
    colors: Float[Tensor, "n 3"],
    known: Bool[Tensor, " n"],
    own: Bool[Tensor, " n"],
) -> Float[Tensor, "m 3"]:
    """Factors [m, 3] on the fill of own points after which it meets the photograph where that ends: there an arm is as
    bright as its lit side, and a few centimetres on it has the fill's own light. Without them a plain colour began
    with an edge in the middle of a shoulder (membranes of Pérez et al. 2003, by distances instead of an equation).

    Args:
        known: places whose photographed colours are this cover's.
    """
    ratio = (colors[known].clamp(min=DARKEST) / fill[known].clamp(min=DARKEST)).log()
    distances, nearest = _nearest(rest, known, own, PLAIN_NEIGHBOURS)
    met = _mean(ratio, nearest, 1 / (distances.square() + RELIGHT_BLUR_M**2))
    lasting = torch.exp(-0.5 * (distances[:, :1].float() / RELIGHT_M) ** 2)
    return (met.clamp(-RELIGHT_MOST, RELIGHT_MOST) * lasting).exp()


def away_from(
    rest: Float[Tensor, "n 3"], own: Bool[Tensor, " n"], other: Bool[Tensor, " n"], distance_m: float
) -> Bool[Tensor, " n"]:
    """Mask [n] of own points that are at least so far from all others."""
    far = own.clone()
    if bool(other.any()):
        nearest, _ = cKDTree(rest[other].numpy()).query(rest[own].numpy(), distance_upper_bound=distance_m)
        far[own] = torch.from_numpy(~np.isfinite(np.asarray(nearest)))
    return far


def alike(
    colors: Float[Tensor, "n 3"], sources: Bool[Tensor, " n"], light: tuple[float, float] = SHADED, odd: float = ODD
) -> Bool[Tensor, " n"]:
    """Mask [n] of colours in [0, 1] that are not far from the middle one of the sources: median and its deviation, in
    Lab.

    Args:
        light: brightness, relative to the middle one's, that makes no other colour.
        odd: how many deviations are far.
    """
    bright = colors.mean(1).clamp(min=1e-3)
    relit = (colors / (bright / bright[sources].median()).clamp(*light)[:, None]).clamp(0, 1)
    lab = lab_of(relit)
    middle = lab[sources].median(0).values
    off = (lab - middle).norm(dim=-1)
    return off < odd * off[sources].median().clamp(*SPREAD)


def lab_of(colors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """CIELAB [n, 3] of colours in [0, 1]."""
    return torch.from_numpy(cv2.cvtColor(colors.numpy()[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0])
