"""champ-paper on a GPU that is not there: a step of either stage at its sizes, with every tensor where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

pytest.importorskip("diffusers", reason="the production extra is not installed")

from champ_tiny_networks import SIZES
from fake_cuda import CUDA, fake_backward, fake_cuda, shapes_on_fake_cuda

from perse.recipes.champ import champ_paper
from perse.synthesis.production.portrait_champ import (
    AdamConfig,
    ChampBatch,
    ChampNetworks,
    ChampReport,
    ChampTrainer,
    ChampTrainingConfig,
)

PAPER = champ_paper()
LATENT_PX, PICTURE_PX = 64, 512
"""Sizes of Stable Diffusion's latents, and of the guidance."""


@pytest.fixture(autouse=True)
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No number of a fake is looked at; half precision is on although there is no driver."""
    monkeypatch.setattr(ChampTrainer, "_report", unread)
    monkeypatch.setattr(torch.Tensor, "backward", fake_backward)
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a: True)
    yield


def unread(_: ChampTrainer, loss: Tensor, errors: Tensor, gradient: Tensor, rate: float) -> ChampReport:
    """Instead of `ChampTrainer._report`."""
    assert {value.device for value in (loss, errors, gradient)} == {CUDA}
    return ChampReport(0, 0.0, 0.0, 0.0, 0.0, rate)


def paper_networks(*, moves: bool) -> ChampNetworks:
    """Two UNets of Stable Diffusion's size without memory."""
    with torch.device("meta"):
        return PAPER.sizes.build(moves=moves)


def paper_batch(config: ChampTrainingConfig) -> ChampBatch:
    """What one of the recipe's workers gets."""
    b, frames = config.batch // PAPER.workers, config.frames
    latents = torch.empty(b, 2, frames, 4, LATENT_PX, LATENT_PX, device=CUDA)
    maps = torch.empty(b, frames, 3, 3, PICTURE_PX, PICTURE_PX, device=CUDA)
    return ChampBatch(latents[:, 0, 0], torch.empty(b, 1, 768, device=CUDA), latents, maps)


@pytest.mark.heavy  # half a minute: a thousand layers, each asked for its shapes several times
@pytest.mark.parametrize("stage", ["frames", "motion"])
def test_a_step_runs_where_the_networks_are(stage: str) -> None:
    config: ChampTrainingConfig = replace(getattr(PAPER, stage), optimiser=AdamConfig())
    seen: list[torch.dtype] = []
    made = paper_networks(moves=config.moves)
    with fake_cuda():
        networks = shapes_on_fake_cuda(made)
        networks.denoiser.unet.mid_block.register_forward_hook(lambda *told: seen.append(told[2].dtype))
        trainer = ChampTrainer(networks, config)
        trainer.step(paper_batch(config))
        trained = dict(networks.motion_parameters() if config.moves else networks.frame_parameters())
        assert {p.device for p in networks.parameters()} == {CUDA}
        assert [name for name, p in trained.items() if p.grad is None] == []
        assert {value.device for value in trainer.averaged().values()} == {CUDA}
    assert seen == [torch.bfloat16], "the recipe trains in half precision"
    frames_stage = sum(p.numel() for p in trained.values()) > 1.7e9
    assert frames_stage != config.moves


def test_a_batch_that_was_left_on_the_host_is_seen() -> None:
    """What this file rests on: the mode does raise where devices are mixed."""
    with torch.device("meta"):
        made = SIZES.build(moves=False)
    config = ChampTrainingConfig(iterations=1, batch=2)
    with fake_cuda():
        trainer = ChampTrainer(shapes_on_fake_cuda(made), config)
        given = ChampBatch(
            torch.empty(2, 4, 8, 8, device=CUDA), torch.empty(2, 1, 8, device=CUDA),
            torch.empty(2, 2, 1, 4, 8, 8, device=CUDA), torch.empty(2, 1, 3, 3, 16, 16, device=CUDA),
        )  # fmt: skip
        trainer.step(given)
        with pytest.raises((RuntimeError, ValueError), match="device"):
            trainer.step(replace(given, maps=torch.empty(given.maps.shape)))
