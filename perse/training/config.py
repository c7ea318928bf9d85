"""Numbers of a training, as recipes give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from perse.attributes import Category
from perse.avatar.densification import DensificationConfig
from perse.losses import DeformationLossConfig, PictureLossConfig


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the losses (P Eq. 11, 12, 31). The defaults are the laptop's."""

    picture: PictureLossConfig = field(default_factory=lambda: PictureLossConfig(l1=0.8, ssim=0.2, alpha=0.2))
    """L1, SSIM and alpha [M, docs/reference.md#the-laptop-avatar]; `PictureLossConfig()` has the paper's weights."""
    perceptual: float = 0.0
    """Of VGG features (the paper's recipe: 0.1). Without weights, SSIM is taken of three octaves instead."""
    vgg_checkpoint: Path | None = None
    """Where VGG-16's weights are, if they are."""
    latent: float = 0.0
    """Mean square of the edited subjects' codes (the paper's recipe: 0.1)."""
    deformation: DeformationLossConfig | None = None
    """How firmly `networks` keeps E, P and W to the head model's (Eq. 31); halves at epochs 10, 20, 30, 40 of 112."""
    body: float = 0.0
    """Square centimetres between the body's points and its relief (`perse.avatar.body.relief_loss`): no frame shows
    their depth, and nothing else holds it. Costs about 1 dB in unseen poses [M]; `laptop_closed` has 0.05."""
    identity: float = 0.0
    """Squared distance of dlib's descriptors, by a differentiable port, from the reference's in the same frame
    (`perse.losses.IdentityLoss`)."""


@dataclass(frozen=True, kw_only=True)
class LearningRates:
    """Adam's rates before the schedule. Points are in `perse.avatar.canonical.attribute_units`."""

    points: float = 2e-2
    """Attributes of the points."""
    positions: float = 1e-4
    """x_gc of the `networks` decoder, metres (docs/reference.md#method-numbers)."""
    features: float = 5e-3
    """Learned features of the points."""
    bases: float = 1e-2
    """Part bases."""
    directions: float = 2e-4
    """W_k: nearly fixed, against latent collapse (docs/reference.md#the-laptop-avatar)."""
    response: float = 5e-3
    """Pose response of the points."""
    skinning: float = 5e-3
    """Skinning weights of the points, logits."""
    networks: float = 2e-3
    """All other networks (the paper's recipe: 1e-4)."""
    latents: float = 2e-5
    """MLP_z and the reference codes (the paper's recipe: 5e-4). With a few dozen subjects the codes only have to stay
    apart; moving them moves all their attributes at once."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One training run."""

    steps: int = 2400
    """Steps of stage 1; all schedules run over them and never over time."""
    edits_per_step: int = 3
    """Edited subjects a step, besides the reference. More subjects a second beat more frames a subject [M]."""
    warmup_steps: int = 50
    """The rate rises linearly over these."""
    flat_share: float = 0.1
    """Share of the steps with the full rate; from there it falls exponentially."""
    final_rate: float = 0.05
    """The rate at the end, relative to the full one."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's moments: short memory, because a subject is seen every dozen steps [M]."""
    epsilon: float = 1e-15
    """Adam's, beside the root of a gradient's mean square: numbers whose gradients are far below it hardly move."""
    losses: LossConfig = field(default_factory=LossConfig)
    """Weights of the losses."""
    rates: LearningRates = field(default_factory=LearningRates)
    """Learning rates."""
    curriculum: tuple[tuple[float, tuple[Category, ...]], ...] = ()
    """(progress, categories that join then); empty: all from the beginning."""
    pose_networks_from: float = 0.01
    """Progress at which MLP_pose of the `networks` decoder joins (P A.1.2: after the first epoch, of 112)."""
    densification: DensificationConfig | None = None
    """Growing and pruning of the `networks` decoder's points; None keeps the points it starts with."""
    seed: int = 0
    """Of the sampler and of densification."""


EPOCHS = 112
"""The paper's epochs (A.1.2). Its schedules are stated in them; ours run over the share of the steps done."""


def rate_factor(config: TrainingConfig, step: int) -> float:
    """Factor of a step's learning rate: warm-up, flat, exponential decay."""
    progress = step / max(config.steps, 1)
    decaying = max(0.0, (progress - config.flat_share) / (1 - config.flat_share))
    return min(1.0, (step + 1) / max(config.warmup_steps, 1)) * config.final_rate ** min(decaying, 1.0)
