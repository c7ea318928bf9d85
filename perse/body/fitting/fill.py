"""Colours of what the photograph does not show: taken through the body from what it does."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.model.covers import Cover

SEEN = 0.6
DEPTH_SHARE = 0.3
"""A centimetre of depth counts as 3 mm: a back has its front's colours, the stripes at their heights."""
NEIGHBOURS, PLAIN_NEIGHBOURS = 6, 60
"""Sources of a colour; many where a cover has one colour, so that no single place is copied to the back."""
WELL_SEEN = 0.9
"""What a plain cover is taken from: not the rim, where the background has mixed in."""
LEAST = 30
UNSEEN_COLOR = {
    Cover.SKIN: (200, 160, 135), Cover.HAIR: (90, 70, 55), Cover.UPPER: (120, 120, 125), Cover.LOWER: (52, 56, 66),
    Cover.SHOES: (45, 40, 38),
}  # fmt: skip
"""Where nothing of a cover is seen: nobody knows; plain and dull, so that it is not taken for a finding."""


LIGHTNESS = 0.4
"""Of a difference in L*: shade is no other colour."""
SPREAD = (2.0, 4.0)
"""Bounds of that deviation."""
ODD = 2.5
"""Robust deviations from the middle colour from which on a place of skin or hair shows something else."""
PLAIN = (Cover.SKIN, Cover.HAIR)
"""Covers that have one colour, more or less; what differs is a collar beside the neck, a forehead below the fringe."""


def fill_colors(rest: Tensor, covers: Tensor, colors: Tensor, seen: Tensor) -> Tensor:
    """Colours [n, 3] of surface points [n, 3] in rest pose.

    Args:
        covers: [n] values of `Cover`.
        colors: [n, 3] in [0, 1], the photograph's; seen: [n] in [0, 1], where they may be trusted.
    """
    fill = colors.clone()
    flat = rest * torch.tensor([1.0, 1.0, DEPTH_SHARE])
    for cover, unseen in UNSEEN_COLOR.items():
        own = covers == cover
        if not own.any():
            continue
        sources, neighbours = own & (seen > SEEN), NEIGHBOURS
        well_seen = own & (seen > WELL_SEEN)
        if cover in PLAIN and int(well_seen.sum()) >= LEAST:
            sources, neighbours = well_seen & alike(colors, well_seen), PLAIN_NEIGHBOURS
        if int(sources.sum()) < LEAST:
            fill[own] = torch.tensor(unseen, dtype=torch.float32) / 255
            continue
        distances, nearest = cKDTree(flat[sources].numpy()).query(
            flat[own].numpy(), k=min(neighbours, int(sources.sum()))
        )
        weights = 1 / np.maximum(np.asarray(distances), 2e-3)
        weights = torch.from_numpy((weights / weights.sum(1, keepdims=True)).astype(np.float32))
        taken = colors[sources][torch.from_numpy(np.asarray(nearest))]
        fill[own] = (weights[..., None] * taken).sum(1)
    return fill


def alike(colors: Tensor, sources: Tensor) -> Tensor:
    """[n] bool: colours [n, 3] that are not far from the middle one of the sources [n]: median and its deviation."""
    lab = torch.from_numpy(cv2.cvtColor(colors.numpy()[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0])
    lab = lab * torch.tensor([LIGHTNESS, 1.0, 1.0])
    middle = lab[sources].median(0).values
    off = (lab - middle).norm(dim=-1)
    return off < ODD * off[sources].median().clamp(*SPREAD)
