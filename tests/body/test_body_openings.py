"""Backs of garments whose front is open."""

from __future__ import annotations

import torch
from torch import Tensor

from perse.body.fitting.fill import fill_colors
from perse.body.fitting.openings import without_openings
from perse.body.model.covers import Cover

RED, WHITE, NAVY = torch.tensor([[0.8, 0.1, 0.1], [0.95, 0.95, 0.95], [0.1, 0.12, 0.3]])


def trunk() -> Tensor:
    """Points [20000, 3] of a trunk, 36 cm wide, 20 deep and 50 high."""
    generator = torch.Generator().manual_seed(0)
    angle, height = 2 * torch.pi * torch.rand(20000, generator=generator), torch.rand(20000, generator=generator)
    return torch.stack([0.18 * torch.sin(angle), 0.5 * height, 0.1 * torch.cos(angle)], 1)


def closed(rest: Tensor, colors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The fill before and after, and which points lie behind."""
    front, back = rest[:, 2] > 0.02, rest[:, 2] < 0
    fill = fill_colors(rest, torch.full((len(rest),), int(Cover.UPPER)), colors, front.float())
    return fill, without_openings(rest, colors, fill, front, back), back


def test_an_open_jacket_is_closed_behind() -> None:
    rest = trunk()
    opening = (rest[:, 0].abs() < 0.02 + 0.1 * rest[:, 1]) & (rest[:, 2] > 0)
    shirt = torch.where((torch.remainder(rest[:, 1], 0.02) < 0.006)[:, None], NAVY, WHITE)
    before, after, back = closed(rest, torch.where(opening[:, None], shirt, RED))
    assert ((before - RED).abs().amax(1) > 0.2)[back].float().mean() > 0.1
    # The top and bottom centimetres have too few points on one side to be told.
    inner = back & (rest[:, 1] > 0.03) & (rest[:, 1] < 0.47)
    assert ((after - RED).abs().amax(1) > 0.2)[inner].float().mean() < 0.01
    assert torch.equal(after[~back], before[~back])


def test_stripes_and_plain_cloth_stay_as_they_are() -> None:
    rest = trunk()
    stripe = torch.remainder(rest[:, 1], 0.1) < 0.05
    before, after, _ = closed(rest, torch.where(stripe[:, None], WHITE, NAVY))
    assert torch.equal(before, after)
    shaded = RED * (1 + 2 * rest[:, :1])  # lit from one side
    before, after, _ = closed(rest, shaded)
    assert torch.equal(before, after)
