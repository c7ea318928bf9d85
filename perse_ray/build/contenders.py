"""Contenders: avatars on one set of clips, trained by the same loop for the same time or the same steps, then
compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from perse.avatar import Avatar, AvatarConfig, StartConfig
from perse.training import Trainer, TrainingConfig
from perse_ray.build.shared_clips import SharedClips

Tell = Callable[[str], None]

PILOT_STEPS, WARM_STEPS = 10, 4
"""Steps that tell a contender's pace, and those of them that do not count: kernels are compiled in them."""

_LINES = 10


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Avatar that is compared: everything else is the same.

    Attributes:
        name: of its row.
        avatar: decoder and latents; start: its first points; training: its losses and rates, whose steps do not count.
    """

    name: str
    avatar: AvatarConfig
    start: StartConfig
    training: TrainingConfig


@dataclass(frozen=True)
class TrainedContender:
    """A contender after its training.

    Attributes:
        avatar: trained.
        steps: it made; cpu_s: processor seconds of this process in them, all threads together; wall_s: on the clock.
        loss: of the last steps, their mean.
    """

    avatar: Avatar
    steps: int
    cpu_s: float
    wall_s: float
    loss: float


def steps_in(shared: SharedClips, contender: Contender, cpu_s: float, seed: int) -> int:
    """Number of steps that a contender makes in some processor seconds, measured on a few steps that are thrown away.

    The number is fixed before the training begins, since its schedules run over steps.
    """
    trainer = _trainer(shared, contender, PILOT_STEPS, seed)
    for _ in range(WARM_STEPS):
        trainer.step()
    begin = time.process_time()
    for _ in range(PILOT_STEPS - WARM_STEPS):
        trainer.step()
    pace = (time.process_time() - begin) / (PILOT_STEPS - WARM_STEPS)
    return max(1, round(cpu_s / pace))


def train_contender(
    shared: SharedClips, contender: Contender, steps: int, seed: int, tell: Tell = print
) -> TrainedContender:
    """Stage 1 of the training, in this process."""
    trainer = _trainer(shared, contender, steps, seed)
    last: list[float] = []
    cpu, wall = time.process_time(), time.perf_counter()
    for step in range(steps):
        report = trainer.step()
        last = [*last, report.loss][-20:]
        if (step + 1) % max(1, steps // _LINES) == 0:
            tell(f"  {contender.name}: step {step + 1} of {steps}, loss {sum(last) / len(last):.4f}")
    spent = time.process_time() - cpu, time.perf_counter() - wall
    return TrainedContender(trainer.avatar.eval(), steps, *spent, sum(last) / len(last))


def _trainer(shared: SharedClips, contender: Contender, steps: int, seed: int) -> Trainer:
    config = replace(contender.training, steps=steps, seed=seed)
    config = replace(config, warmup_steps=min(config.warmup_steps, max(1, steps // 10)))
    avatar = shared.avatar(contender.avatar, contender.start, seed)
    return Trainer(avatar, shared.training(), config, rasterizer=shared.recipe.rasterizer)
