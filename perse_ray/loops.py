"""Trainings of the avatar as `LoopConfig`s: small values that are built where they run."""

from __future__ import annotations

import json
from dataclasses import dataclass

from safetensors.torch import load

from perse.avatar import Avatar
from perse.avatar.storage import restore
from perse.data.workspace import Workspace
from perse.render import Rasterizer
from perse.training import Checkpoint, Trainer, TrainingConfig
from perse.training.trainer import GradientReduction
from perse_ray.clips import load_clips, training_frames


@dataclass(frozen=True, kw_only=True)
class TrainingLoop:
    """Stage 1: the avatar on its clips."""

    workspace: Workspace
    """Where the clips are."""

    clips: tuple[str, ...]
    """Content keys of the clips, in the order of the avatar's subjects."""

    frames: range
    """Frame numbers to train on."""

    training: TrainingConfig
    """The recipe's numbers."""

    rasterizer: Rasterizer
    """What draws."""

    @property
    def steps(self) -> int:
        return self.training.steps

    def build(self, start: Checkpoint, rank: int, world: int, reduce: GradientReduction | None) -> Trainer:
        """
        Raises:
            RecipeError: the checkpoint was made with another configuration.
        """
        clips = training_frames(load_clips(self.workspace, self.clips), self.frames)
        trainer = Trainer(
            avatar_of(start),
            clips,
            self.training,
            rasterizer=self.rasterizer,
            rank=rank,
            world=world,
            reduce_gradients=reduce,
        )
        trainer.resume(start)
        return trainer


def avatar_of(checkpoint: Checkpoint) -> Avatar:
    """The avatar inside a training checkpoint."""
    files = checkpoint.files
    return restore(json.loads(files["avatar.json"]), load(files["avatar.safetensors"]))
