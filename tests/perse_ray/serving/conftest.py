"""A small real avatar in a workspace, as the service finds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_avatar import described_avatar

from perse.avatar import Avatar, Subject, save_avatar
from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar


@pytest.fixture(scope="session")
def served_avatar(head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    """An untrained avatar whose prompts went through the embedded encoder."""
    colors = ("red", "blue", "green", "white", "black", "pink")
    subjects = [
        Subject(clip.key, category, f"A person with a {color} {category.value}" if category else "")
        for (clip, category), color in zip(tiny_clips, colors, strict=True)
    ]
    return described_avatar(head_model, tiny_clips, subjects).eval()


@pytest.fixture(scope="session")
def workspace(served_avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with nothing but the avatar; its id is ``me``."""
    folder = tmp_path_factory.mktemp("served") / "me"
    save_avatar(served_avatar, folder / "avatar")
    return folder


@pytest.fixture(scope="session")
def loaded(workspace: Path) -> LoadedAvatar:
    return LoadedAvatar.load(workspace / "avatar")
