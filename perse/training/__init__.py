"""Training an avatar: the step, its data, its losses, its checkpoints. No orchestration."""

from perse.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perse.training.clips import ClipStore, FrameBatch
from perse.training.config import LearningRates, LossConfig, TrainingConfig
from perse.training.reduction import average_gradients
from perse.training.sampler import StepSample, joined, sample_step
from perse.training.trainer import StepReport, Trainer

__all__ = [
    "Checkpoint",
    "ClipStore",
    "FrameBatch",
    "LearningRates",
    "LossConfig",
    "StepReport",
    "StepSample",
    "Trainer",
    "TrainingConfig",
    "average_gradients",
    "joined",
    "load_checkpoint",
    "sample_step",
    "save_checkpoint",
]
