"""A small avatar of the synthetic subjects, for tests of training, evaluation and storage."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from perse.attributes import Category
from perse.avatar import (
    Avatar,
    AvatarCard,
    AvatarConfig,
    HullConfig,
    LatentConfig,
    NetworksConfig,
    PartBasesConfig,
    Skeleton,
    StartConfig,
    Subject,
    SubjectFeatures,
)
from perse.avatar.initialisation import starting_points
from perse.avatar.points import IdentityMesh, StartingPoints
from perse.features import EmbeddedEncoder

START = StartConfig(
    head_points=900,
    shell_points=500,
    body_points=200,
    back_points=0,
    watched_frames=8,
    hull=HullConfig(voxel_m=0.012),
)
PART_BASES = PartBasesConfig(rank=4, features=4, encoding_octaves=2, hidden=8, depth=1)
NETWORKS = NetworksConfig(
    deform_width=16, deform_depth=2, color_width=16, color_depth=4, color_skip=2, color_octaves=3, pose_width=8,
    pose_depth=2,
)  # fmt: skip
CLOSED = replace(START, back_points=120)
"""With points behind."""
ABSENT = (Category.BEARD, Category.EARRINGS, Category.HAT, Category.HEADPHONES)
_started: dict[tuple[int, int], tuple[StartingPoints, IdentityMesh]] = {}


def started(head_model, tiny_clips, config=START) -> tuple[StartingPoints, IdentityMesh]:  # type: ignore[no-untyped-def]
    """Starting points of the tiny clips, made once."""
    place = id(tiny_clips), config.back_points
    if place not in _started:
        edited = [(clip, category) for clip, category in tiny_clips[1:]]
        _started[place] = starting_points(head_model, tiny_clips[0][0], edited, config, seed=0)
    return _started[place]


@lru_cache
def random_features(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """f_I and f_T [count, 64] of imaginary subjects."""
    image, text = torch.randn(2, count, 64, generator=torch.Generator().manual_seed(2))
    return image, text


def synthetic_avatar(head_model, tiny_clips, decoder=PART_BASES, config=START) -> Avatar:  # type: ignore[no-untyped-def]
    """An untrained avatar of the tiny clips."""
    start, mesh = started(head_model, tiny_clips, config)
    subjects = [Subject(clip.key, category, "a prompt" if category else "") for clip, category in tiny_clips]
    rows = torch.tensor([-1 if category is None else category.index for _, category in tiny_clips])
    reference = tiny_clips[0][0]
    card = AvatarCard(reference.key, reference.camera, head_model.expression_names, head_model.joint_names, ABSENT)
    skeleton = Skeleton(mesh.joints, head_model.parents, head_model.n_expression, correctives=mesh.correctives)
    sizes = AvatarConfig(latents=LatentConfig(features=64, hidden=32, dimensions=8), decoder=decoder)
    features = SubjectFeatures(*random_features(len(subjects)), rows)
    return Avatar(sizes, card, skeleton, start, subjects, features, seed=0)


def described_avatar(head_model, tiny_clips, subjects: list[Subject]) -> Avatar:  # type: ignore[no-untyped-def]
    """An untrained avatar whose prompts went through the embedded encoder, with the tiny clips' pictures in order."""
    start, mesh = started(head_model, tiny_clips)
    pictures = np.stack([clip.images[0] for clip, _ in tiny_clips[: len(subjects)]])
    features = EmbeddedEncoder().encode(pictures, [subject.text for subject in subjects])
    rows = torch.tensor([-1 if subject.category is None else subject.category.index for subject in subjects])
    reference = tiny_clips[0][0]
    card = AvatarCard(reference.key, reference.camera, head_model.expression_names, head_model.joint_names, ())
    decoder = PartBasesConfig(rank=4, features=4, hidden=8, depth=1)
    config = AvatarConfig(latents=LatentConfig(hidden=32, dimensions=8), decoder=decoder)
    skeleton = Skeleton(mesh.joints, head_model.parents, head_model.n_expression, correctives=mesh.correctives)
    known = SubjectFeatures(features.image, features.text, rows)
    return Avatar(config, card, skeleton, start, subjects, known, seed=0)
