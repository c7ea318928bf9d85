"""A small real avatar in a workspace, as the service finds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from perse.avatar import (
    Avatar,
    AvatarCard,
    AvatarConfig,
    LatentConfig,
    PartBasesConfig,
    Skeleton,
    Subject,
    SubjectFeatures,
    save_avatar,
)
from perse.features import EmbeddedEncoder
from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar


@pytest.fixture(scope="session")
def served_avatar(head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    """An untrained avatar whose prompts went through the embedded encoder."""
    from synthetic_avatar import started

    start, mesh = started(head_model, tiny_clips)
    clips = [clip for clip, _ in tiny_clips]
    colors = ("red", "blue", "green", "white", "black", "pink")
    subjects = [
        Subject(clip.key, category, f"A person with a {color} {category.value}" if category else "")
        for (clip, category), color in zip(tiny_clips, colors, strict=True)
    ]
    features = EmbeddedEncoder().encode(np.stack([clip.images[0] for clip in clips]), [s.text for s in subjects])
    rows = torch.tensor([-1 if s.category is None else s.category.index for s in subjects])
    card = AvatarCard(clips[0].key, clips[0].camera, head_model.expression_names, head_model.joint_names, ())
    config = AvatarConfig(
        latents=LatentConfig(hidden=32, dimensions=8), decoder=PartBasesConfig(rank=4, features=4, hidden=8, depth=1)
    )
    skeleton = Skeleton(mesh.joints, head_model.parents, head_model.n_expression, correctives=mesh.correctives)
    known = SubjectFeatures(features.image, features.text, rows)
    return Avatar(config, card, skeleton, start, subjects, known, seed=0).eval()


@pytest.fixture(scope="session")
def workspace(served_avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with nothing but the avatar; its id is ``me``."""
    folder = tmp_path_factory.mktemp("served") / "me"
    save_avatar(served_avatar, folder / "avatar")
    return folder


@pytest.fixture(scope="session")
def loaded(workspace: Path) -> LoadedAvatar:
    return LoadedAvatar.load(workspace / "avatar")
