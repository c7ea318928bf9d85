"""Adapters of subjects as a stage: each once, finished ones kept, a failed one alone in quarantine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_diffusion import save_tiny_diffusion, tiny_config

from perse.data import PortraitClip, archive
from perse.data.workspace import Workspace
from perse.errors import GenerationError, MissingWeightsError
from perse.geometry import Camera
from perse.head import HeadParameters
from perse.morphing import SubjectLoraConfig
from perse.morphing.diffusion.adapters import adapter_file, load_adapter
from perse.morphing.subject_lora import SubjectLoraTrainer, TrainedAdapter
from perse.synthesis.production.model_store import Weights
from perse_ray.rows import in_process, on_ray_data
from perse_ray.rows.stage import Pool
from perse_ray.synthesis.subject_adapters import AdapterWork, train_adapters

FRAMES = 6
CLIPS = {"red hat": "clip-0", "blue hat": "clip-1", "green hat": "clip-2"}


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> SubjectLoraConfig:
    pytest.importorskip("diffusers", reason="the production extra is not installed")
    folder = tmp_path_factory.mktemp("weights") / "tiny-diffusion"
    save_tiny_diffusion(folder)
    return SubjectLoraConfig(model=tiny_config(folder), rank=2, epochs=1, batch_size=4)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.open(tmp_path)
    flat = np.full((FRAMES, 32, 32), 255, np.uint8)
    camera = Camera(torch.eye(4), torch.tensor([[32.0, 0, 16], [0, 32, 16], [0, 0, 1]]), 32, 32)
    motion = HeadParameters(torch.zeros(2), torch.zeros(3, 3), torch.zeros(FRAMES, 2), torch.zeros(FRAMES, 5, 3))
    for number, clip in enumerate(CLIPS.values()):
        images = np.full((FRAMES, 32, 32, 3), 60 * number, np.uint8)
        numbers = np.arange(0, 10 * FRAMES, 10, dtype=np.int32)
        archive.save_clip(workspace, clip, PortraitClip(clip, numbers, images, flat, flat, motion, camera))
    return workspace


def test_every_subject_gets_its_adapter_and_gets_it_once(
    workspace: Workspace, lora: SubjectLoraConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    train = SubjectLoraTrainer.train

    def counted(self: SubjectLoraTrainer, frames: np.ndarray, key: str = "") -> TrainedAdapter:
        seen.append((key, len(frames)))
        return train(self, frames, key)

    monkeypatch.setattr(SubjectLoraTrainer, "train", counted)
    work = AdapterWork(workspace=workspace, lora=lora, frames=(0, 10, 20, 30))
    made = train_adapters(work, CLIPS, Pool(), execute=in_process.run)
    assert made.ready == tuple(CLIPS.values()) and not made.quarantined
    assert seen == [(clip, 4) for clip in CLIPS.values()], "the frames that are kept for testing are not trained on"
    loaded = [load_adapter(workspace, lora.key(clip), clip) for clip in CLIPS.values()]
    assert loaded[0].layers == loaded[1].layers
    up = f"{loaded[0].layers[0]}.lora_B.weight"
    assert not torch.equal(loaded[0].tensors[up], loaded[1].tensors[up])

    workspace.remove(adapter_file(lora.key("clip-1")))
    again = train_adapters(work, CLIPS, Pool(), execute=in_process.run)
    assert again == made and [key for key, _ in seen[3:]] == ["clip-1"]
    other = replace(work, lora=replace(lora, seed=1))
    train_adapters(other, CLIPS, Pool(), execute=in_process.run)
    assert len(seen) == 7, "other numbers make other adapters"


def test_a_failed_adapter_takes_its_subject_out_and_nobody_else(
    workspace: Workspace, lora: SubjectLoraConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, tries = SubjectLoraTrainer.train, []

    def failing(self: SubjectLoraTrainer, frames: np.ndarray, key: str = "") -> TrainedAdapter:
        tries.append(key)
        if key == "clip-1":
            raise GenerationError("the loss of an adapter is NaN")
        return train(self, frames, key)

    monkeypatch.setattr(SubjectLoraTrainer, "train", failing)
    work = AdapterWork(workspace=workspace, lora=lora)
    made = train_adapters(work, CLIPS, Pool(), execute=in_process.run)
    assert made.ready == ("clip-0", "clip-2")
    (row,) = made.quarantined
    assert (row.name, row.stage, row.error) == ("blue hat", "adapt", "the loss of an adapter is NaN")
    assert row.key == lora.key("clip-1")
    assert train_adapters(work, CLIPS, Pool(), execute=in_process.run) == made
    assert len(tries) == 3, "what is in quarantine is not tried again by itself"
    # Whoever takes it out of quarantine has it tried again.
    workspace.remove(f"quarantine/{row.key}.parquet")
    monkeypatch.undo()
    assert train_adapters(work, CLIPS, Pool(), execute=in_process.run).ready == tuple(CLIPS.values())


def test_missing_weights_end_the_stage_before_it_starts(workspace: Workspace, tmp_path: Path) -> None:
    nowhere = SubjectLoraConfig()
    nowhere = replace(nowhere, model=replace(nowhere.model, weights=Weights(name="mine", folder=tmp_path / "none")))
    with pytest.raises(MissingWeightsError, match="there is no folder"):
        train_adapters(AdapterWork(workspace=workspace, lora=nowhere), CLIPS, Pool(), execute=in_process.run)


@pytest.mark.usefixtures("ray_session")
def test_ray_data_makes_the_same_adapters(workspace: Workspace, lora: SubjectLoraConfig, tmp_path: Path) -> None:
    elsewhere = Workspace.open(tmp_path / "elsewhere")
    for clip in CLIPS.values():
        archive.save_clip(elsewhere, clip, archive.load_clip(workspace, clip))
    here = train_adapters(AdapterWork(workspace=workspace, lora=lora), CLIPS, Pool(), execute=in_process.run)
    pool = Pool(workers=(1, 2))
    there = train_adapters(AdapterWork(workspace=elsewhere, lora=lora), CLIPS, pool, execute=on_ray_data.run)
    assert here == there
    for clip in CLIPS.values():
        one, other = (load_adapter(place, lora.key(clip), clip).tensors for place in (workspace, elsewhere))
        # One thread in a worker, perhaps more here: sums in another order.
        assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)
