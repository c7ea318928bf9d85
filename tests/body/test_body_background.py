"""Background that is seen where hair or skin was fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perse.body.fitting.background import background_seen
from perse.body.fitting.texture import sampled
from perse.body.model.covers import Cover


@pytest.mark.parametrize(
    ("cover", "color", "wall"),
    [
        (Cover.HAIR, (110, 75, 50), (225, 222, 228)),
        (Cover.SKIN, (225, 190, 170), (238, 240, 241)),  # pale skin before a white wall
        (Cover.SKIN, (110, 72, 52), (150, 140, 120)),
    ],
)
def test_a_wall_at_the_rim_is_neither_hair_nor_skin(
    cover: Cover, color: tuple[int, int, int], wall: tuple[int, int, int]
) -> None:
    """Of the rim every third row shows the wall, a fifth mixed with the person; the rest of it is the person."""
    image = np.full((100, 100, 3), wall, np.uint8)
    own = np.random.default_rng(0).normal(color, 8, (100, 60, 3)).clip(0, 255)
    image[:, 20:80] = own.astype(np.uint8)
    image[::3, 20:22] = np.round(0.8 * np.array(wall) + 0.2 * np.array(color))
    mask = np.zeros((100, 100), np.float32)
    mask[:, 20:80] = 1
    row, column = torch.arange(100.0)[:, None].expand(100, 60) + 0.5, torch.arange(20.0, 80.0).expand(100, 60) + 0.5
    pixels = torch.stack([column, row], -1).reshape(-1, 2)
    colors, seen = sampled(image, pixels), torch.ones(6000)
    found = background_seen(image, mask, pixels, colors, seen, torch.full((6000,), int(cover))).reshape(100, 60)
    pale = torch.zeros(100, 60, dtype=torch.bool)
    pale[::3, :2] = True
    assert torch.equal(found, pale)
    cloth = torch.full((6000,), int(Cover.UPPER))  # of which nobody knows the colour
    assert not background_seen(image, mask, pixels, colors, seen, cloth).any()
