"""A small real avatar and its training, for tests that need one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from perse.attributes import Category
from perse.avatar import (
    AvatarConfig,
    DecoderConfig,
    LatentConfig,
    StartConfig,
    Subject,
    create_avatar,
)
from perse.data import archive
from perse.data.workspace import Workspace
from perse.head import HeadModel
from perse.render import CpuRasterizer
from perse.synthesis.motion import load_motion
from perse.training import ClipStore, Trainer, TrainingConfig
from perse_ray.training.loops import TrainingLoop
from perse_ray.training.ray_train import first_checkpoint

SmallTraining = tuple[TrainingLoop, Trainer]


def make_small_training(
    head_model: HeadModel, place: Path, decoder: DecoderConfig, *, steps: int = 10
) -> SmallTraining:
    """A loop in a workspace of its own, and a trainer that stands where it begins."""
    from synthetic_subjects import film, looks

    chosen = [look for look in looks(2) if look.category in (None, Category.HAT, Category.CLOTHES)]
    motion = load_motion(head_model)
    clips = [film(head_model, look, motion, np.array([0, 100, 200, 300]), 48) for look in chosen]
    subjects = [
        Subject(clip.key, look.category, "" if look.category is None else f"some {look.category.value}")
        for clip, look in zip(clips, chosen, strict=True)
    ]
    workspace = Workspace.open(place)
    for number, clip in enumerate(clips):
        archive.save_clip(workspace, str(number), clip)
    features = torch.randn(2, len(clips), 16, generator=torch.Generator().manual_seed(0))
    avatar = create_avatar(
        head_model,
        clips,
        subjects,
        *features,
        absent=(),
        config=AvatarConfig(latents=LatentConfig(dimensions=8, features=16, hidden=16), decoder=decoder),
        start=StartConfig(head_points=300, shell_points=200, body_points=100, watched_frames=4),
        seed=0,
    )
    training = TrainingConfig(steps=steps, edits_per_step=2)
    trainer = Trainer(avatar, ClipStore(clips), training, rasterizer=CpuRasterizer())
    first_checkpoint(workspace, "train", trainer.checkpoint())
    loop = TrainingLoop(
        workspace=workspace,
        clips=tuple(str(number) for number in range(len(clips))),
        frames=tuple(range(400)),
        training=training,
        rasterizer=CpuRasterizer(threads=1),
    )
    return loop, trainer
