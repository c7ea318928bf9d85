"""Cloth that a hand hides."""

from __future__ import annotations

import torch

from perse.body.fitting.hidden_cloth import REACH_M, hand_before_cloth
from perse.body.model.covers import Cover


def test_a_hand_is_not_painted_on_the_hip_and_the_garments_colours_stay() -> None:
    """Navy trousers with a white stripe; the photographed hand reaches 3 cm further than the fitted one, and near it
    the trousers are seen too. A bare arm hangs elsewhere."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.stack(torch.meshgrid(torch.linspace(0, 0.4, 81), torch.linspace(0, 0.4, 81), indexing="ij"), -1)
    trousers, face = grid.reshape(-1, 2), 1 + 0.1 * torch.rand(200, 2, generator=generator)
    hand = torch.rand(300, 2, generator=generator) * torch.tensor([0.08, 0.1])
    navy, white, skin = torch.tensor([[0.1, 0.12, 0.25], [0.9, 0.9, 0.88], [0.8, 0.6, 0.5]])
    stripe = (trousers[:, 0] > 0.2) & (trousers[:, 0] < 0.24)
    covered = (trousers[:, 0] < 0.11) & (trousers[:, 1] < 0.1)
    of_trousers = torch.where(covered[:, None], skin, torch.where(stripe[:, None], white, navy))
    colors = torch.cat([of_trousers, skin.expand(500, 3)])
    colors = (colors + 0.02 * torch.randn(colors.shape, generator=generator)).clamp(0, 1)
    places = torch.cat([trousers, hand, face])
    covers = torch.tensor([int(Cover.LOWER)] * len(trousers) + [int(Cover.SKIN)] * 500)
    hands = torch.zeros(len(places), dtype=torch.bool)
    hands[len(trousers) : len(trousers) + 300] = True
    found = hand_before_cloth(places, colors, torch.ones(len(places)), covers, hands)
    assert bool(found[: len(trousers)][covered].all()) and not found[len(trousers) :].any()
    # Farther than a hand's width nothing is hidden, not even what has skin's colour.
    far = (trousers[:, 0] > 0.08 + REACH_M) | (trousers[:, 1] > 0.1 + REACH_M)
    assert not found[: len(trousers)][far].any()
    between = ~covered & ~far & (trousers[:, 0] < 0.13) & (trousers[:, 0] > 0.115) & (trousers[:, 1] < 0.08)
    assert bool(between.any()) and not found[: len(trousers)][between].any()
    # Arms held away from the body: no cloth lies beside a hand.
    away = places + torch.tensor([5.0, 0.0]) * hands[:, None]
    assert not hand_before_cloth(away, colors, torch.ones(len(places)), covers, hands).any()
