"""State of an avatar's training as a checkpoint: the avatar, the optimiser's memory, the step."""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors.torch import load, save
from torch import Tensor

from perse.avatar import Avatar
from perse.avatar.storage import avatar_tensors, describe, restore
from perse.data.keys import content_key
from perse.errors import RecipeError
from perse.training.checkpoint import Checkpoint
from perse.training.config import TrainingConfig

_AVATAR, _DESCRIPTION, _OPTIMISER, _STATE = "avatar.safetensors", "avatar.json", "optimiser.safetensors", "state.json"


def training_checkpoint(avatar: Avatar, config: TrainingConfig, step: int, moments: Mapping[str, Tensor]) -> Checkpoint:
    """Checkpoint after so many steps.

    Args:
        moments: Adam's, as `Optimiser.moments` names them.
    """
    state = {"step": step, "config": content_key(config)}
    return Checkpoint(
        step,
        {
            _AVATAR: avatar_tensors(avatar),
            _DESCRIPTION: json.dumps(describe(avatar), sort_keys=True).encode(),
            _OPTIMISER: save(dict(moments)),
            _STATE: json.dumps(state, sort_keys=True).encode(),
        },
    )


def initial_checkpoint(avatar: Avatar, config: TrainingConfig) -> Checkpoint:
    """Checkpoint from which a training of this avatar begins: step 0, an optimiser without a memory. Any device will
    do."""
    return training_checkpoint(avatar, config, 0, {})


def avatar_of(checkpoint: Checkpoint) -> Avatar:
    """Avatar inside a training checkpoint."""
    files = checkpoint.files
    return restore(json.loads(files[_DESCRIPTION]), load(files[_AVATAR]))


def moments_of(checkpoint: Checkpoint, config: TrainingConfig) -> tuple[int, dict[str, Tensor]]:
    """Finished steps and Adam's moments inside a training checkpoint.

    Raises:
        RecipeError: the checkpoint was made with another training configuration.
    """
    state = json.loads(checkpoint.files[_STATE])
    if state["config"] != content_key(config):
        raise RecipeError(
            "the checkpoint was made with another training configuration; resume with the same one, or start "
            "in a new workspace"
        )
    return int(state["step"]), load(checkpoint.files[_OPTIMISER])
