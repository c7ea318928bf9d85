"""Growing and pruning an avatar's points while it is trained: when, and what becomes of the optimiser."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from perse.avatar import Avatar
from perse.avatar.decoder import PointPlan
from perse.avatar.densification import DensificationConfig, carried_moments, plan_growth, plan_prune
from perse.training.config import TrainingConfig
from perse.training.optimiser import Optimiser
from perse.training.replicas import Replicas

_DENSIFICATION = 20
"""Stream of random numbers, apart from the sampler's."""


def densified(avatar: Avatar, optimiser: Optimiser, config: TrainingConfig, step: int, replicas: Replicas) -> Optimiser:
    """Optimiser after the event that is due after a step, which changes the avatar's points; the same if none is due.

    Adam's moments go with the points. Which points stay and which are added is decided by the first replica: the
    others' thresholds may fall a rounding error apart.
    """
    schedule = config.densification
    if schedule is None or not avatar.decoder.point_tensors() or not _is_due(schedule, step + 1, config.steps):
        return optimiser
    rng = np.random.default_rng((config.seed, _DENSIFICATION, step))
    plan = _plan(avatar, schedule, replicas, rng)
    names = tuple(avatar.decoder.point_tensors())
    moments = carried_moments(optimiser.moments(), "decoder.", names, plan)
    avatar.decoder.replace_points(plan, schedule.radius_m, rng)
    renewed = Optimiser(avatar.named_parameters(), config)
    renewed.restore(moments)
    return renewed


def _is_due(schedule: DensificationConfig, done: int, steps: int) -> bool:
    period = max(1, round(schedule.every * steps))
    return done % period == 0 and done <= schedule.until * steps


def _plan(avatar: Avatar, schedule: DensificationConfig, replicas: Replicas, rng: np.random.Generator) -> PointPlan:
    """What becomes of the points: more of them, or once there are enough, smaller ones without the transparent."""
    decoder = avatar.decoder
    if len(decoder) < schedule.target:
        wanted = min(schedule.target, round(schedule.grow_factor * len(decoder)))
        return plan_growth(len(decoder), wanted, rng)
    decoder.shrink_scales(schedule.shrink)
    opacities, draws = _largest_opacities(avatar, replicas), rng.spawn(1)[0]

    def pruned() -> tuple[Tensor, Tensor]:
        plan = plan_prune(opacities, schedule.prune_opacity, schedule.target, draws)
        return plan.parents, plan.fresh

    return PointPlan(*replicas.from_first(pruned))


@torch.no_grad()
def _largest_opacities(avatar: Avatar, replicas: Replicas) -> Float[Tensor, " n"]:
    """Opacity [n] of every point in the subject that needs it most. Every subject is looked at, since what only one of
    them wears (an earring) must live; the replicas share them."""
    largest = torch.full((len(avatar.decoder),), -torch.inf, device=avatar.device)
    for row in range(replicas.rank, len(avatar.subjects), replicas.world):
        codes = avatar.subject_codes(torch.tensor([row], device=avatar.device))
        largest = torch.maximum(largest, avatar.canonicalise(codes).opacity_logits[0])
    return torch.sigmoid(replicas.maximum(largest)).cpu()
