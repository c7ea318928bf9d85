"""A subject's adapter learns the subject, and is the same one every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_diffusion import discs, noise_loss

from perse.data.workspace import Workspace
from perse.errors import GenerationError
from perse.morphing import SubjectLoraConfig
from perse.morphing.diffusion.adapters import load_adapter, save_adapter
from perse.morphing.diffusion.batched_lora import RowAdapters, adapted
from perse.morphing.subject_lora import SubjectLoraTrainer, training_frames


@pytest.fixture(scope="module")
def trainer(lora: SubjectLoraConfig) -> SubjectLoraTrainer:
    return lora.build()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.repeat(discs(1, 77), 24, 0)


def test_the_adapter_predicts_noise_better_on_its_subject(trainer: SubjectLoraTrainer, frames: np.ndarray) -> None:
    trained = trainer.train(frames, "somebody")
    assert trained.steps == 3 * 3 and len(trained.losses) == 3
    before = noise_loss(trainer.model, frames, 9)
    rows = RowAdapters.of([trained.adapter] * len(frames), torch.float32)
    with adapted(trainer.model.unet, rows):
        after = noise_loss(trainer.model, frames, 9)
    # Nine small steps on the attention of a random network: a percent is what there is to gain.
    assert after < 0.99 * before


def test_training_leaves_the_model_as_it_was(trainer: SubjectLoraTrainer, frames: np.ndarray) -> None:
    before = {name: tensor.clone() for name, tensor in trainer.model.unet.state_dict().items()}
    trainer.train(frames[:8], "a")
    after = trainer.model.unet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not any(parameter.requires_grad for parameter in trainer.model.unet.parameters())


def test_training_is_repeatable_and_each_subject_has_its_own_noise(
    trainer: SubjectLoraTrainer, frames: np.ndarray, tmp_path: Path
) -> None:
    first, again, other = (trainer.train(frames[:8], key) for key in ("a", "a", "b"))
    assert all(torch.equal(first.adapter.tensors[name], again.adapter.tensors[name]) for name in first.adapter.tensors)
    assert first.losses == again.losses != other.losses
    workspace = Workspace.open(tmp_path)
    save_adapter(workspace, "k", first.adapter, {})
    loaded = load_adapter(workspace, "k", "a")
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in first.adapter.tensors.items())


def test_the_key_tells_subjects_and_numbers_apart(lora: SubjectLoraConfig) -> None:
    keys = {lora.key("a"), lora.key("b"), replace(lora, rank=8).key("a"), replace(lora, seed=1).key("a")}
    assert len(keys) == 4 and lora.key("a") in keys


def test_numbers_are_the_papers() -> None:
    config = SubjectLoraConfig()
    numbers = config.rank, config.rate, config.weight_decay, config.batch_size, config.epochs, config.prompt
    assert numbers == (16, 2e-4, 1e-2, 8, 5, "")  # P A.2.2


def test_memory_that_does_not_suffice_is_said(
    lora: SubjectLoraConfig, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = lora.build()

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer.model, "predict", full)
    with pytest.raises(GenerationError, match="smaller batch_size"):
        trainer.train(frames, "a")
    assert not any("lora" in name for name, _ in trainer.model.unet.named_parameters())


def test_no_frames_no_adapter(trainer: SubjectLoraTrainer, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no frames"):
        trainer.train(frames[:0])


def test_training_frames_are_those_that_are_wanted() -> None:
    assert training_frames([3, 5, 9], [9, 3, 4]) == [0, 2]
    assert training_frames([3, 5, 9], []) == [0, 1, 2]
