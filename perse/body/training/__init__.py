"""Training the body avatar: balanced sampling and geometry-weighted optimisation."""

from perse.body.training.config import BodyLossConfig, BodyTrainingConfig
from perse.body.training.frames import captured_clip, captured_patches
from perse.body.training.trainer import BodyStepReport, BodyTrainer, first_checkpoint_of

__all__ = [
    "BodyLossConfig",
    "BodyStepReport",
    "BodyTrainer",
    "BodyTrainingConfig",
    "captured_clip",
    "captured_patches",
    "first_checkpoint_of",
]
