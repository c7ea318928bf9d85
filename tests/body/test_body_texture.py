"""Where the photograph is believed: not where hair hangs over a neck, but where a collar begins."""

from __future__ import annotations

import torch

from perse.body.fitting.fill import BORDER_M
from perse.body.fitting.texture import other_than_skin
from perse.body.model import BodyRegion
from perse.body.model.covers import Cover


def test_hair_over_a_neck_is_no_skin_but_a_collar_keeps_its_line() -> None:
    generator = torch.Generator().manual_seed(0)
    skin = torch.tensor([0.8, 0.6, 0.5])
    face = skin + 0.01 * torch.randn(100, 3, generator=generator)
    height = torch.linspace(0, 0.06, 61)  # up a neck, the jumper's border is at 0
    neck = torch.stack([torch.zeros(61), height, torch.zeros(61)], 1)
    jumper = torch.tensor([[0.0, -0.002, 0.0]])
    teal, hair = torch.tensor([0.15, 0.45, 0.48]), torch.tensor([0.35, 0.25, 0.15])
    # The photographed collar reaches 6 mm further than the fit believes; 4 cm above it hair hangs over the neck.
    of_neck = torch.where((height < 0.006)[:, None], teal, torch.where((height > 0.04)[:, None], hair, skin))
    colors = torch.cat([face, of_neck, teal[None]])
    rest = torch.cat([torch.tensor([0.0, 0.2, 0.0]).expand(100, 3), neck, jumper])
    covers = torch.tensor([int(Cover.SKIN)] * 161 + [int(Cover.UPPER)])
    regions = torch.tensor([int(BodyRegion.FACE)] * 100 + [int(BodyRegion.NECK)] * 61 + [int(BodyRegion.TORSO)])
    found = other_than_skin(rest, colors, torch.ones(162), covers, regions)[100:161]
    assert bool(found[height > 0.041].all())
    assert not bool(found[height < BORDER_M - 0.003].any())  # told point by point, its teeth were as wide as points
    assert not bool(found[(height > 0.012) & (height < 0.039)].any())
