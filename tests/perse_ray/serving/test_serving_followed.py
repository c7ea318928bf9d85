"""Following a workspace from the first checkpoint to the finished avatar."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from synthetic_avatar import synthetic_avatar

from perse.avatar import Avatar, load_avatar, save_avatar
from perse.avatar.storage import DESCRIPTION_FILE, TENSORS_FILE
from perse.data.workspace import Workspace
from perse.errors import WorkspaceError
from perse.training import Checkpoint, save_checkpoint
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.training_source import FILES, FollowedWorkspace
from perse_ray.serving.schema.errors import Unavailable
from perse_ray.serving.schema.requests import Appearance


@pytest.fixture(scope="module")
def avatar(head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    return synthetic_avatar(head_model, tiny_clips).eval()


def saved(avatar: Avatar, folder: Path, step: int) -> Path:
    """A training's checkpoint with this avatar."""
    once = folder / "once"
    save_avatar(avatar, once)
    files = {name: (once / name).read_bytes() for name in (TENSORS_FILE, DESCRIPTION_FILE)}
    return save_checkpoint(folder, Checkpoint(step, {**files, "optimiser.safetensors": b"large"}))


def test_the_newest_state_counts(avatar: Avatar, tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "me")
    place = FollowedWorkspace(workspace)
    with pytest.raises(Unavailable, match="no checkpoint"):
        place.version()
    training, tuning = (workspace.path / "checkpoints" / stage for stage in ("train", "finetune"))
    saved(avatar, training, 0)
    assert place.version() == "training, step 0"
    saved(avatar, training, 200)
    assert place.version() == "training, step 200"
    os.utime(saved(avatar, tuning, 0) / "manifest.json", (2e9, 2e9))
    assert place.version() == "fine-tuning, step 0"
    save_avatar(avatar, workspace.path / "avatar")
    assert place.version() == "fine-tuning, step 0"
    os.utime(workspace.path / "avatar" / DESCRIPTION_FILE, (2e9 + 1, 2e9 + 1))
    assert place.version().startswith("finished, ")
    os.utime(saved(avatar, training, 400) / "manifest.json", (2.1e9, 2.1e9))
    assert place.version() == "training, step 400"


def test_a_checkpoint_becomes_an_avatar_folder(avatar: Avatar, tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "me")
    folder = saved(avatar, workspace.path / "checkpoints" / "train", 200)
    place = FollowedWorkspace(workspace)
    copied = load_avatar(place.fetch(place.version(), tmp_path / "copy"))
    assert copied.n_gaussians == avatar.n_gaussians and not (tmp_path / "copy" / "optimiser.safetensors").exists()
    with pytest.raises(WorkspaceError, match="step-00000100"):
        place.fetch("training, step 100", tmp_path / "other")
    (folder / TENSORS_FILE).write_bytes(b"half a file")
    with pytest.raises(WorkspaceError, match="damaged"):
        place.fetch(place.version(), tmp_path / "other")


def test_an_object_store_is_followed_too(avatar: Avatar, tmp_path: Path) -> None:
    workspace = Workspace.open("mock:///bucket/followed")
    with pytest.raises(Unavailable):
        FollowedWorkspace(workspace).version()
    files = {name: (saved(avatar, tmp_path, 0) / name).read_bytes() for name in FILES}
    for step in (200, 400):
        CheckpointFolder(workspace, "train").save(Checkpoint(step, files))
        place = FollowedWorkspace(workspace)
        assert place.version() == f"training, step {step}"
        assert load_avatar(place.fetch(place.version(), tmp_path / str(step))).n_gaussians == avatar.n_gaussians


def test_what_is_in_the_cache_moves_on_with_the_training(avatar: Avatar, tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "me")
    training = workspace.path / "checkpoints" / "train"
    saved(avatar, training, 200)
    cache = AvatarCache({"me": FollowedWorkspace(workspace)}, memory_mib=1000)
    assert cache.info("me").version == "training, step 200"
    before = cache.avatar("me").frozen(Appearance())
    assert cache.refresh() == []
    saved(avatar, training, 400)
    assert cache.refresh() == ["me"] and cache.info("me").version == "training, step 400"
    (saved(avatar, training, 600) / TENSORS_FILE).write_bytes(b"half a file")
    assert cache.refresh() == [] and cache.info("me").version == "training, step 400"
    assert cache.avatar("me").frozen(Appearance()).gaussians.means.equal(before.gaussians.means)
