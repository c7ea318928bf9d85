"""What is seen through loose strands of hair."""

from __future__ import annotations

import numpy as np
import torch

from perse.body.fitting.loose_strands import background_in_hair
from perse.body.fitting.texture import sampled
from perse.body.model.covers import Cover


def test_a_wall_between_loose_strands_is_no_hair() -> None:
    """Brown hair before a pale wall; of its rim every third point shows the wall, half mixed with a strand."""
    image = np.full((100, 100, 3), (225, 222, 228), np.uint8)
    strands = np.random.default_rng(0).normal((110, 75, 50), 12, (100, 60, 3)).clip(0, 255)
    image[:, 20:80] = strands.astype(np.uint8)
    image[::3, 20:22] = (190, 180, 178)
    mask = np.zeros((100, 100), np.float32)
    mask[:, 20:80] = 1
    row, column = (torch.arange(100.0)[:, None].expand(100, 60) + 0.5, torch.arange(20.0, 80.0).expand(100, 60) + 0.5)
    pixels = torch.stack([column, row], -1).reshape(-1, 2)
    colors, seen = sampled(image, pixels), torch.ones(6000)
    hair, skin = (torch.full((6000,), int(cover)) for cover in (Cover.HAIR, Cover.SKIN))
    found = background_in_hair(image, mask, pixels, colors, seen, hair)
    pale = torch.zeros(100, 60, dtype=torch.bool)
    pale[::3, :2] = True
    assert torch.equal(found.reshape(100, 60), pale)
    assert not background_in_hair(image, mask, pixels, colors, seen, skin).any()
