"""Fixtures of the synthesis tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Folders of tiny checkpoints of the production classes, by name."""
    pytest.importorskip("diffusers", reason="the production extra is not installed")
    import tiny_checkpoints as tiny

    root = tmp_path_factory.mktemp("weights")
    save = {
        "flux": tiny.save_flux,
        "flux_fill": tiny.save_flux_fill,
        "flux_controlnet": tiny.save_flux_controlnet,
        "sdxl": tiny.save_sdxl,
        "sdxl_inpainting": tiny.save_sdxl_inpainting,
        "pose": lambda folder: tiny.save_sdxl_controlnet(folder, union=False),
        "union": lambda folder: tiny.save_sdxl_controlnet(folder, union=True),
        "vae": tiny.save_vae,
        "segformer": tiny.save_segformer,
        "torchscript": tiny.save_torchscript_segmenter,
    }
    folders = {name: root / name for name in save}
    for name, writer in save.items():
        writer(folders[name])
    return SimpleNamespace(**folders)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A safetensors file of the architecture "perse-tiny-clip", which open_clip knows from then on."""
    pytest.importorskip("open_clip", reason="the production extra is not installed")
    import tiny_checkpoints as tiny

    folder = tmp_path_factory.mktemp("clip")
    tiny.register_tiny_clip(folder / "architectures")
    tiny.save_open_clip(folder / "model.safetensors")
    return folder / "model.safetensors"
