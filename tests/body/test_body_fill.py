"""Colours of what the photograph does not show: stripes stay stripes on the back, hair falls in locks."""

from __future__ import annotations

import torch

from perse.body.fitting.fill import fill_colors, locks
from perse.body.model.covers import Cover


def cylinder(n: int, radius: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(n, generator=generator)
    height = 0.4 * torch.rand(n, generator=generator)
    return torch.stack([radius * torch.sin(angle), height, radius * torch.cos(angle)], 1)


def test_the_back_of_a_striped_garment_has_stripes_and_no_blur() -> None:
    rest = cylinder(20000, 0.15)
    stripe = torch.remainder(rest[:, 1], 0.1) < 0.05
    colors = torch.where(stripe[:, None], torch.tensor([0.9, 0.9, 0.8]), torch.tensor([0.1, 0.4, 0.4]))
    seen = (rest[:, 2] > 0.05).float()
    filled = fill_colors(rest, torch.full((len(rest),), int(Cover.UPPER)), colors, seen)
    behind = rest[:, 2] < -0.05
    border = torch.remainder(rest[:, 1] + 0.01, 0.05) < 0.02  # a centimetre to either side
    assert float((filled - colors).abs()[behind & ~border].max()) < 0.05
    assert float((filled - colors).abs()[behind].mean()) < 0.05


def test_hair_behind_has_the_photographs_contrast_in_locks_that_run_down() -> None:
    rest = cylinder(6000, 0.09)
    generator = torch.Generator().manual_seed(1)
    colors = (torch.tensor([0.5, 0.4, 0.3]) * (1 + 0.1 * torch.randn(len(rest), 1, generator=generator))).clamp(0, 1)
    seen = (rest[:, 2] > 0.0).float()
    filled = fill_colors(rest, torch.full((len(rest),), int(Cover.HAIR)), colors, seen)
    back = filled[rest[:, 2] < -0.02].mean(1)
    assert 0.05 < float(back.std() / back.mean()) < 0.2
    plain = fill_colors(rest, torch.full((len(rest),), int(Cover.HAIR)), colors * 0 + 0.4, seen)
    assert float(plain.std()) < 1e-4  # hair without contrast gets none


def test_a_lock_changes_faster_around_the_head_than_down_it() -> None:
    height = torch.linspace(0, 0.2, 60)
    around = torch.linspace(-3, 3, 240)
    grid = torch.stack(torch.meshgrid(around, height, indexing="ij"), -1)
    places = torch.stack([0.1 * torch.sin(grid[..., 0]), grid[..., 1], 0.1 * torch.cos(grid[..., 0])], -1)
    bright = locks(places.reshape(-1, 3), 0.1).reshape(240, 60)
    across = (bright[1:] - bright[:-1]).abs().mean() / (0.1 * 6 / 239)  # per metre
    down = (bright[:, 1:] - bright[:, :-1]).abs().mean() / (0.2 / 59)
    assert float(across) > 2 * float(down)
