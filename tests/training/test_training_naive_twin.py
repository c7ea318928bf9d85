"""The fused training step equals the formulas written out frame by frame, in loss and in every gradient."""

from __future__ import annotations

import pytest
import torch
from synthetic_avatar import CLOSED, NETWORKS, PART_BASES, START, synthetic_avatar
from tolerances import CHAIN, SINGLE_SUM

from benchmarks.naive_step import naive_loss
from benchmarks.pairs import PairRasterizer
from benchmarks.render import head_shell
from perse.avatar import Avatar
from perse.render import CpuRasterizer, ReferenceRasterizer, rasterize
from perse.training import ClipStore, Trainer, TrainingConfig
from perse.training.memory import keep_freed_memory
from perse.training.sampler import StepSample
from perse.training.warm_up import warm_up

SAMPLE = StepSample(subjects=(0, 2, 5), of_frame=(0, 1, 2, 1, 0), frames=(3, 7, 0, 1, 11))


@pytest.mark.parametrize("decoder", [PART_BASES, NETWORKS], ids=["part_bases", "networks"])
def test_a_step_equals_its_naive_evaluation(head_model, tiny_clips, decoder) -> None:  # type: ignore[no-untyped-def]
    closed = CLOSED if decoder is PART_BASES else START
    avatar = synthetic_avatar(head_model, tiny_clips, decoder, closed)
    stir(avatar)
    clips, config = (
        ClipStore([clip for clip, _ in tiny_clips]),
        TrainingConfig(pose_networks_from=0.0),
    )
    trainer = Trainer(avatar, clips, config, rasterizer=CpuRasterizer())
    loss = trainer.gradients(SAMPLE).total
    ours = gradients(avatar)
    trainer.zero_gradients()
    naive = naive_loss(avatar, clips, SAMPLE, config.losses, rasterizer=CpuRasterizer())
    naive.backward()
    torch.testing.assert_close(loss, naive.detach(), **CHAIN)
    written_out = gradients(avatar)
    assert ours.keys() <= written_out.keys()  # the naive one touches bases whose coefficients are zero
    for name, gradient in written_out.items():
        # Sums of thousands of float32 terms in another order, against the largest entry.
        scale = gradient.abs().max().clamp_min(1e-9)
        difference = (ours.get(name, torch.zeros_like(gradient)) - gradient).abs().max()
        assert difference / scale < 5e-3, (name, float(difference / scale))  # of the largest entry, as said above


def test_plain_torch_pairs_draw_what_the_reference_draws() -> None:
    gaussians, camera = head_shell(300, 48)
    drawn = [
        rasterize(gaussians, camera, background=torch.tensor([0.2, 0.5, 1.0]), rasterizer=rasterizer)
        for rasterizer in (PairRasterizer(), ReferenceRasterizer())
    ]
    for name in ("colors", "alphas", "depths"):
        # Relative: float32 blending of some hundred layers.
        torch.testing.assert_close(*(getattr(d, name) for d in drawn), atol=SINGLE_SUM, rtol=1e-4)


def stir(avatar: Avatar) -> None:
    """Move every parameter from its zeros, so that no gradient vanishes for that reason."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in avatar.named_parameters():
            if not name.startswith("latents."):
                parameter.add_(0.003 * torch.randn(parameter.shape, generator=generator))


def gradients(avatar: Avatar) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in avatar.named_parameters() if p.grad is not None and p.numel()}


def test_keeping_freed_memory_is_asked_for_twice_without_harm() -> None:
    assert keep_freed_memory() == keep_freed_memory()


def test_warming_up_runs_every_kernel_and_leaves_torch_its_threads() -> None:
    before = torch.get_num_threads()
    warm_up(threads=1)
    assert torch.get_num_threads() == before
