"""Fixtures of the morphing tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tiny_diffusion import SIZE_PX, STEPS, save_fitted_tiny_diffusion, tiny_config

from perse.attributes import Category
from perse.data.workspace import Workspace
from perse.morphing import DiffMorpherConfig, FrameOrigin, MorphEnd, SubjectLoraConfig
from perse.morphing.diffusion import Adapter, LatentDiffusion, LatentDiffusionConfig
from perse.morphing.diffusion.adapters import save_adapter


@pytest.fixture(scope="session")
def tiny_diffusion(tmp_path_factory: pytest.TempPathFactory) -> LatentDiffusionConfig:
    """A tiny Stable Diffusion that predicts noise, more or less."""
    pytest.importorskip("diffusers", reason="the production extra is not installed")
    folder = tmp_path_factory.mktemp("diffusion")
    save_fitted_tiny_diffusion(folder)
    return tiny_config(folder)


@pytest.fixture(scope="session")
def tiny_model(tiny_diffusion: LatentDiffusionConfig) -> LatentDiffusion:
    """The same, loaded once. Whoever uses it must leave it as it was."""
    return tiny_diffusion.load()


@pytest.fixture(scope="session")
def lora(tiny_diffusion: LatentDiffusionConfig) -> SubjectLoraConfig:
    return SubjectLoraConfig(model=tiny_diffusion, rank=4, rate=1e-2, epochs=3)


@pytest.fixture(scope="session")
def diffmorpher(lora: SubjectLoraConfig) -> DiffMorpherConfig:
    return DiffMorpherConfig(lora=lora, steps=STEPS, ends_mib=64, adapters_mib=16)


@pytest.fixture(scope="session")
def subjects(tmp_path_factory: pytest.TempPathFactory, lora: SubjectLoraConfig) -> Workspace:
    """A workspace with the adapters of the subjects "red", "blue" and "green": no training, yet adapters with a say."""
    import torch

    workspace = Workspace.open(tmp_path_factory.mktemp("subjects"))
    shapes = lora.build().train(_picture("red")[None]).adapter.tensors
    for number, subject in enumerate(("red", "blue", "green")):
        generator = torch.Generator().manual_seed(number)
        factors = {n: 0.2 * torch.randn(t.shape, generator=generator) for n, t in shapes.items()}
        save_adapter(workspace, lora.key(subject), Adapter(factors), {})
    return workspace


@pytest.fixture
def end(subjects: Workspace) -> Callable[..., MorphEnd]:
    """Ends by the name of their subject."""

    def make(subject: str, frame: int = 0) -> MorphEnd:
        image = np.roll(_picture(subject), frame, axis=1)
        shape = image.min(-1) < 250
        alpha = np.where(shape, 255, 0).astype(np.uint8)
        return MorphEnd(
            image, alpha, shape, np.zeros((0, 2), np.float32), Category.HAT, FrameOrigin(subjects, subject, frame)
        )

    return make


def _picture(subject: str) -> np.ndarray:
    colour, radius = {"red": ((210, 40, 40), 9), "blue": ((30, 60, 200), 12), "green": ((40, 160, 60), 6)}[subject]
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    image = np.full((SIZE_PX, SIZE_PX, 3), 255, np.uint8)
    image[np.hypot(rows - 16, columns - 16) < radius] = colour
    return image
