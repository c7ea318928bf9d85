"""Training an avatar: the step, its data, its losses, its checkpoints. No orchestration."""

from perse.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perse.training.clips import ClipStore, FrameBatch
from perse.training.config import LearningRates, LossConfig, TrainingConfig
from perse.training.finetune import FineTuneConfig, FineTuner, first_checkpoint
from perse.training.morph_schedule import (
    INTERIOR_ALPHAS,
    PAIRS_PER_SUBJECT,
    MorphRequest,
    MorphSchedule,
    MorphSource,
    MorphTarget,
    morph_pairs,
)
from perse.training.replicas import DistributedReplicas, Replicas, SingleReplica
from perse.training.sampler import StepSample, joined, sample_step
from perse.training.trainer import StepReport, Trainer
from perse.training.training_state import avatar_of, initial_checkpoint

__all__ = [
    "INTERIOR_ALPHAS",
    "PAIRS_PER_SUBJECT",
    "Checkpoint",
    "ClipStore",
    "DistributedReplicas",
    "FineTuneConfig",
    "FineTuner",
    "FrameBatch",
    "LearningRates",
    "LossConfig",
    "MorphRequest",
    "MorphSchedule",
    "MorphSource",
    "MorphTarget",
    "Replicas",
    "SingleReplica",
    "StepReport",
    "StepSample",
    "Trainer",
    "TrainingConfig",
    "avatar_of",
    "first_checkpoint",
    "initial_checkpoint",
    "joined",
    "load_checkpoint",
    "morph_pairs",
    "sample_step",
    "save_checkpoint",
]
