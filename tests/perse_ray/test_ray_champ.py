"""portrait-Champ's training on Ray: killed and resumed it ends with the same weights; bad videos are set aside."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

pytest.importorskip("diffusers", reason="the production extra is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "synthesis"))

from champ_tiny_networks import SIZES

from perse.data.workspace import Workspace
from perse.errors import InputError, RecipeError, StageError
from perse.export import mp4_bytes
from perse.head.sources import EmbeddedHead
from perse.recipes.champ import ChampRecipe, champ_recipe_named, champ_tiny
from perse.synthesis.production.guidance import Guidance
from perse.synthesis.production.portrait_champ import BlockLatentsConfig, ChampTrainingConfig, Footage, UNetSizes
from perse.synthesis.production.portrait_champ.footage_sampler import Take
from perse.synthesis.production.portrait_champ.footage_table import FootageFile, save_footage
from perse.synthesis.production.portrait_champ.storage import TENSORS
from perse.training import Checkpoint, SingleReplica
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.rows import in_process
from perse_ray.training.champ_train import ChampLoop
from perse_ray.training.champ_videos import PrepareVideo, prepare_stage, prepare_videos
from perse_ray.training.ray_train import TrainTask, WorkerGroup, train
from perse_ray.training.seam import WorkerPlace


def quiet(_: str) -> None:
    """No progress in the test's output."""


def footage(seed: int, frames: int = 10) -> Footage:
    """A bright square that moves over a dark one's picture; its place is the guidance."""
    pictures = np.full((frames, 16, 16, 3), 40 + 20 * seed, np.uint8)
    maps = np.zeros_like(pictures)
    for number in range(frames):
        pictures[number, 4:8, number : number + 4] = 230
        maps[number, 4:8, number : number + 4] = 255
    return Footage(pictures, Guidance(maps, maps, maps))


def recipe() -> ChampRecipe:
    training = ChampTrainingConfig(iterations=6, batch=2, rate=1e-3, warm_up=2)
    latents = BlockLatentsConfig(block_px=2, kept=1)
    unet = UNetSizes(**{**vars(SIZES.unet), "latent_channels": latents.channels, "token_width": 512})
    return replace(
        champ_tiny(),
        sizes=replace(SIZES, unet=unet),
        latents=latents,
        frames=training,
        motion=replace(training, frames=3, iterations=4),
        sample_every=100,
    )


def loop(place: Path) -> ChampLoop:
    workspace = Workspace.open(place)
    takes = []
    for seed in range(2):
        save_footage(workspace, str(seed), footage(seed))
        takes.append(Take(str(seed), f"{seed}.mp4", 10, 16, 6))
    made = recipe()
    return ChampLoop(workspace=workspace, recipe=made, training=made.frames, stage="frames", takes=tuple(takes))


def run(one: ChampLoop, group: WorkerGroup) -> Checkpoint:
    folder = CheckpointFolder(one.workspace, one.stage)
    if folder.load() is None:
        folder.save(one.first())
    return train(TrainTask(workspace=one.workspace, stage=one.stage, loop=one), group, show=quiet)


@pytest.mark.usefixtures("ray_session")
def test_interrupted_and_resumed_both_stages_end_with_the_same_weights(tmp_path: Path) -> None:
    group = WorkerGroup(threads=1, checkpoint_every=2)
    straight = loop(tmp_path / "straight")
    whole = run(straight, group)
    resumed = loop(tmp_path / "resumed")
    half = run(replace(resumed, training=replace(resumed.training, iterations=4)), group)
    # What a kill leaves: a checkpoint of an earlier step, of the same recipe.
    folder = CheckpointFolder(resumed.workspace, "frames")
    folder.clear()
    folder.save(Checkpoint(4, {**half.files, "state.json": resumed._numbers(4)}))
    again = run(resumed, group)
    assert half.step == 4 and again.step == whole.step == 6
    expected, found = load(whole.files["state.safetensors"]), load(again.files["state.safetensors"])
    assert expected.keys() == found.keys() and len(expected) > 100
    for name, value in expected.items():
        assert value.equal(found[name]), name

    for name, content in straight.weights(whole).items():
        straight.workspace.write(f"weights/frames/{name}", content)
    motion = replace(straight, training=straight.recipe.motion, stage="motion", base="weights/frames")
    final = motion.weights(run(motion, group))
    before, after = load(straight.workspace.read(f"weights/frames/{TENSORS}")), load(final[TENSORS])
    assert all(after[name].equal(value) for name, value in before.items())
    moved = [name for name, value in after.items() if "motion_modules" in name and ".proj_out." in name and value.any()]
    assert moved, "the motion modules start at zero and must have learned"
    assert straight.workspace.names("report/samples", ".png") == ["frames-00000006", "motion-00000004"]


def test_a_checkpoint_of_other_videos_is_refused(tmp_path: Path) -> None:
    one = loop(tmp_path / "w")
    other = replace(one, takes=one.takes[:1])
    with pytest.raises(RecipeError, match="another recipe or other videos"):
        one.build(other.first(), WorkerPlace(torch.device("cpu"), SingleReplica()))


def test_footage_is_read_frame_by_frame(tmp_path: Path) -> None:
    workspace, made = Workspace.open(tmp_path / "w"), footage(1)
    save_footage(workspace, "a", made)
    file = FootageFile(workspace, "a")
    part = file.read([9, 0, 5])
    assert file.frame_count() == 10
    assert (part.frames == made.frames[[9, 0, 5]]).all()
    assert (part.guidance.keypoints == made.guidance.keypoints[[9, 0, 5]]).all()


def test_bad_videos_go_to_quarantine_and_are_not_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "hostile.mp4").write_bytes(b"#EXTM3U\nfile:///etc/hostname\n")
    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), np.uint8)
    (folder / "nobody.mp4").write_bytes(mp4_bytes(iter(noise), 8))
    (folder / "notes.txt").write_text("no video")
    workspace = Workspace.open(tmp_path / "w")
    tiny = champ_tiny()
    work = PrepareVideo(workspace=workspace, head=EmbeddedHead(), footage=tiny.footage, held_out_every=4)
    for _ in range(2):
        with pytest.raises(StageError, match="not one video can be used; the first problem was"):
            prepare_videos(str(folder), work, prepare_stage, execute=in_process.run, show=quiet)
    rows = {
        name: workspace.read_table(f"quarantine/{name}.parquet") for name in workspace.names("quarantine", ".parquet")
    }
    errors = sorted(str(table["error"][0]) for table in rows.values())
    assert len(errors) == 2 and all("\n" not in error for error in errors)
    assert any("is not a video that can be read" in error for error in errors)
    assert any("face" in error for error in errors)


def test_a_folder_without_videos_is_one_line(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "w")
    work = PrepareVideo(workspace=workspace, head=EmbeddedHead(), footage=champ_tiny().footage, held_out_every=4)
    with pytest.raises(InputError, match="there is no folder"):
        prepare_videos(str(tmp_path / "nowhere"), work, prepare_stage, execute=in_process.run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no video in"):
        prepare_videos(str(tmp_path / "empty"), work, prepare_stage, execute=in_process.run)
    with pytest.raises(RecipeError, match="known: champ-paper, champ-tiny"):
        champ_recipe_named("champ-huge")
