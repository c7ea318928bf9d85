"""Shared motion of all subjects, as parameters of a head model."""

from __future__ import annotations

import numpy as np
import torch

from perse.errors import RecipeError
from perse.head import HeadModel, HeadParameters, Joint
from perse.synthesis.motion.choreography import DATA_PATH, N_FRAMES, N_TRAIN

TRAIN_FRAMES = range(N_TRAIN)
TEST_FRAMES = range(N_TRAIN, N_FRAMES)


def load_motion(model: HeadModel) -> HeadParameters:
    """The committed 513-frame motion for a head model whose expressions have the ARKit names.

    Poses are absolute: the neck joint holds the head's rotation relative to the camera, the global joint stays zero.

    Returns:
        expression [513, e] and pose [513, j, 3]; betas and vertex offsets are zero (put a subject's in with
        `HeadParameters.with_identity`).

    Raises:
        RecipeError: the model lacks an action of the motion, as FLAME does, whose expressions have no names.
    """
    with np.load(DATA_PATH, allow_pickle=False) as data:
        names = [str(name) for name in data["action_names"]]
        actions, head, jaw, eyes = (data[key] for key in ("actions", "head", "jaw", "eyes"))
    missing = [name for name in names if name not in model.expression_names]
    if missing or model.n_joints < len(Joint):
        raise RecipeError(
            f"the built-in motion needs named facial actions and five joints; this head model has {model.n_joints} "
            f"joints and lacks {', '.join(missing) or 'none of the actions'}: use the embedded head or bring a motion"
        )
    expression = np.zeros((N_FRAMES, model.n_expression), np.float32)
    expression[:, [model.expression_names.index(name) for name in names]] = actions
    pose = np.zeros((N_FRAMES, model.n_joints, 3), np.float32)
    pose[:, Joint.NECK], pose[:, Joint.JAW] = head, jaw
    pose[:, Joint.LEFT_EYE] = pose[:, Joint.RIGHT_EYE] = eyes
    return HeadParameters(
        betas=torch.zeros(model.n_shape),
        vertex_offsets=torch.zeros(model.n_vertices, 3),
        expression=torch.from_numpy(expression),
        pose=torch.from_numpy(pose),
    )
