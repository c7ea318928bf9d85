"""The diffusion teachers in half precision, as on a GPU: nearly the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tiny_diffusion import discs, noise_loss

from perse.morphing import DiffMorpherConfig, FreeMorphConfig, MorphEnd, SubjectLoraConfig
from perse.morphing.diffusion.batched_lora import RowAdapters, adapted
from perse.synthesis.production import generation

End = Callable[..., MorphEnd]
ALPHAS = [k / 6 for k in range(1, 6)]


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are loaded in bfloat16 here as they are on a GPU; a CPU would take float32."""
    ordinary = generation._where

    def where(*told: Any) -> dict[str, Any]:
        return ordinary(*told) | {"torch_dtype": torch.bfloat16}

    monkeypatch.setattr(generation, "_where", where)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over pixels, in grey levels."""
    return float(np.abs(first.astype(float) - second).mean())


def test_half_precision_morphs_nearly_the_same(diffmorpher: DiffMorpherConfig, end: End, half: None) -> None:
    lean = diffmorpher.build()
    assert lean.model.unet.dtype == lean.model.vae.dtype == lean.model.dtype == torch.bfloat16
    found = lean.morph(end("red"), end("blue"), [0.0, *ALPHAS, 1.0])
    assert np.array_equal(found.images, lean.morph(end("red"), end("blue"), [0.0, *ALPHAS, 1.0]).images)
    assert np.array_equal(found.images[[0, -1]], np.stack([end("red").image, end("blue").image])), "ends are exact"


def test_half_precision_and_single_agree(
    diffmorpher: DiffMorpherConfig, end: End, request: pytest.FixtureRequest
) -> None:
    exact = diffmorpher.build().morph(end("red"), end("blue"), ALPHAS).images
    request.getfixturevalue("half")
    lean = diffmorpher.build().morph(end("red"), end("blue"), ALPHAS).images
    apart = difference(end("red").image, end("blue").image)
    assert 0 < difference(exact, lean) < 0.1 * apart


def test_without_training_half_precision_agrees(
    diffmorpher: DiffMorpherConfig, end: End, request: pytest.FixtureRequest
) -> None:
    config = FreeMorphConfig(model=diffmorpher.lora.model, steps=6)
    exact = config.build().morph(end("red"), end("blue"), ALPHAS).images
    request.getfixturevalue("half")
    lean = config.build().morph(end("red"), end("blue"), ALPHAS).images
    assert 0 < difference(exact, lean) < 0.1 * difference(end("red").image, end("blue").image)


def test_an_adapter_is_learned_in_half_precision(lora: SubjectLoraConfig, half: None) -> None:
    frames = np.repeat(discs(1, 77), 24, 0)
    trainer = lora.build()
    trained = trainer.train(frames, "somebody")
    assert {tensor.dtype for tensor in trained.adapter.tensors.values()} == {torch.float32}
    before = noise_loss(trainer.model, frames, 9)
    with adapted(trainer.model.unet, RowAdapters.of([trained.adapter] * len(frames), trainer.model.dtype)):
        assert noise_loss(trainer.model, frames, 9) < 0.995 * before
