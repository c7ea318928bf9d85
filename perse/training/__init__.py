"""Training an avatar: the step, its data, its losses, its checkpoints. No orchestration."""

from perse.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perse.training.clips import ClipStore, FrameBatch
from perse.training.config import LearningRates, LossConfig, TrainingConfig
from perse.training.finetune import FineTuneConfig, FineTuner
from perse.training.morph_schedule import INTERIOR_ALPHAS, MorphRequest, MorphSource, morph_pairs, morph_request
from perse.training.reduction import average_gradients
from perse.training.sampler import StepSample, joined, sample_step
from perse.training.trainer import StepReport, Trainer

__all__ = [
    "INTERIOR_ALPHAS",
    "Checkpoint",
    "ClipStore",
    "FineTuneConfig",
    "FineTuner",
    "FrameBatch",
    "LearningRates",
    "LossConfig",
    "MorphRequest",
    "MorphSource",
    "StepReport",
    "StepSample",
    "Trainer",
    "TrainingConfig",
    "average_gradients",
    "joined",
    "load_checkpoint",
    "morph_pairs",
    "morph_request",
    "sample_step",
    "save_checkpoint",
]
