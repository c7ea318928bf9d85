"""A small avatar with prompts as the pipeline writes them, in a workspace ``runs/me``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import perse
from perse.attributes import Category
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

PROMPTS = {
    Category.HAT: ("A person wearing a teal beanie", "A person wearing a navy top hat with a white band"),
    Category.BEARD: ("A person with a long white full beard", "A person with a medium blonde moustache"),
    Category.HAIR: ("A person with curly red hair",),
}


@pytest.fixture(scope="session")
def runs(head_model, tiny_clips, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """A folder with ``runs/me`` in it."""
    from synthetic_avatar import started

    start, mesh = started(head_model, tiny_clips)
    reference = tiny_clips[0][0]
    subjects = [Subject(reference.key, None, "")]
    subjects += [Subject(f"{number:032x}", *row) for number, row in enumerate(_rows(), 11)]
    pictures = np.stack([tiny_clips[row][0].images[0] for row in range(len(subjects))])
    features = EmbeddedEncoder().encode(pictures, [s.text for s in subjects])
    rows = torch.tensor([-1 if s.category is None else s.category.index for s in subjects])
    card = AvatarCard(reference.key, reference.camera, head_model.expression_names, head_model.joint_names, ())
    decoder = PartBasesConfig(rank=4, features=4, hidden=8, depth=1)
    config = AvatarConfig(latents=LatentConfig(hidden=32, dimensions=8), decoder=decoder)
    skeleton = Skeleton(mesh.joints, head_model.parents, head_model.n_expression, correctives=mesh.correctives)
    known = SubjectFeatures(features.image, features.text, rows)
    avatar = Avatar(config, card, skeleton, start, subjects, known, seed=0)
    folder = tmp_path_factory.mktemp("library") / "runs" / "me"
    save_avatar(avatar, folder / "avatar")
    return folder.parents[1]


def _rows() -> list[tuple[Category, str]]:
    return [(category, text) for category, texts in PROMPTS.items() for text in texts]


@pytest.fixture(scope="session")
def avatar(runs: Path) -> perse.HeadAvatar:
    return perse.load(runs / "runs" / "me")
