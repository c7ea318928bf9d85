"""The paper's step on a GPU: one of stage 1 and one of stage 2 at its sizes, with every tensor where it belongs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_cuda import CUDA, POINTS, FakeClips, FakeGsplat, fake_backward
from synthetic_avatar import PART_BASES, synthetic_avatar

from perse.avatar import Avatar
from perse.errors import RecipeError
from perse.recipes import recipe_named
from perse.render import CpuRasterizer
from perse.training import FineTuner, MorphRequest, MorphTarget, Trainer, skipped_steps
from perse.training.objective import LossTerms

PAPER = recipe_named("paper")
SIZE_PX, FRAMES = 512, 400


@pytest.fixture
def paper(fake_paper, head_model, monkeypatch) -> tuple[Avatar, FakeClips]:  # type: ignore[no-untyped-def]
    """An avatar with the paper's networks and number of points, and clips of its size, on a fake GPU."""
    monkeypatch.setattr(LossTerms, "numbers", lambda self: [float(t.numel()) for t in vars(self).values()])
    monkeypatch.setattr(skipped_steps, "_read", lambda flag: flag.device != CUDA)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)  # which needs a driver
    monkeypatch.setattr(torch.Tensor, "backward", fake_backward)
    return fake_paper, FakeClips(fake_paper, FRAMES, SIZE_PX, len(head_model.template))


def numbers(config):  # type: ignore[no-untyped-def]
    """The recipe's, without the file of VGG's weights."""
    return replace(config, losses=replace(config.losses, vgg_checkpoint=None))


def test_a_training_step_runs_where_the_avatar_is(paper) -> None:  # type: ignore[no-untyped-def]
    avatar, clips = paper
    trainer = Trainer(avatar, clips, numbers(PAPER.training), rasterizer=FakeGsplat(), device=CUDA)
    trainer.step_number = trainer.config.steps // 2  # all networks take part
    report = trainer.step()
    assert report.n_gaussians == POINTS
    assert trainer.avatar.decoder.positions.grad.shape == (POINTS, 3)
    assert all(p.device == CUDA for p in trainer.avatar.parameters())
    untouched = [name for name, p in trainer.avatar.named_parameters() if p.grad is None]
    assert untouched == []


class BlankTeacher:
    def get(self, request: MorphRequest) -> MorphTarget:
        return MorphTarget(request.alphas, np.zeros((len(request.alphas), SIZE_PX, SIZE_PX, 3), np.uint8))


def test_a_fine_tuning_step_runs_where_the_avatar_is(paper, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    avatar, clips = paper
    monkeypatch.setattr(
        torch, "from_numpy", lambda array: torch.zeros(array.shape, dtype=getattr(torch, array.dtype.name))
    )
    config = replace(PAPER.finetuning, training=numbers(PAPER.finetuning.training))
    trainer = Trainer(avatar, clips, config.training, rasterizer=FakeGsplat(), device=CUDA)
    FineTuner(trainer, BlankTeacher(), config).step()
    assert trainer.avatar.decoder.response.out.weight.grad is not None, "MLP_pose stays on in stage 2"


class Anywhere(FakeGsplat):
    device_types = ("meta",)


def test_a_worker_moves_its_replica_to_its_device(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    from perse.training import ClipStore

    store = ClipStore([clip for clip, _ in tiny_clips])
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=PART_BASES)
    trainer = Trainer(avatar, store, numbers(PAPER.training), rasterizer=Anywhere(), device=torch.device("meta"))
    tensors = [*trainer.avatar.state_dict().values(), trainer._motion.transforms, trainer._camera.intrinsics]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_a_rasterizer_for_another_device_is_refused_before_the_first_step(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    from perse.training import ClipStore

    store = ClipStore([clip for clip, _ in tiny_clips])
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=PART_BASES)
    with pytest.raises(RecipeError, match=r"CpuRasterizer draws on cpu .* no GPUs"):
        Trainer(avatar, store, PAPER.training, rasterizer=CpuRasterizer(), device=CUDA)
    with pytest.raises(RecipeError, match=r"GsplatRasterizer draws on cuda .* GPUs"):
        Trainer(avatar, store, PAPER.training, rasterizer=PAPER.rasterizer)


def test_the_check_sees_a_tensor_that_was_left_on_the_host(paper) -> None:  # type: ignore[no-untyped-def]
    """What this file rests on: the mode does raise where devices are mixed."""
    avatar, clips = paper
    trainer = Trainer(avatar, clips, numbers(PAPER.training), rasterizer=FakeGsplat(), device=CUDA)
    trainer._white = torch.ones(3)
    trainer._motion = trainer._motion.to("cpu")
    with pytest.raises((RuntimeError, ValueError), match="device"):
        trainer.step()
