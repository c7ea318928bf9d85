"""Trainings whose steps sleep; Ray Train, its workers' agreement at each step, the morph pool and window are real."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.sleeping_studio import Journal
from perse.data.workspace import Workspace
from perse.training.checkpoint import Checkpoint
from perse_ray.training.morph_pool import MorphPool
from perse_ray.training.morph_work import Made
from perse_ray.training.pooled_morphs import WINDOW_AT_LEAST, TargetsAhead
from perse_ray.training.seam import WorkerPlace


@dataclass(frozen=True)
class SleepingMorphs:
    """Makes morphs without pictures, after a while."""

    workspace: Workspace
    seconds: float
    journal: Journal

    @property
    def ingredients(self) -> object:
        return "asleep"

    def build(self) -> SleepingMorphs:
        return self

    def __call__(self, task: Any) -> Made:
        with self.journal.noted("morph"):
            time.sleep(self.seconds)
        return Made({"images": np.zeros((1, 8, 8, 3), np.uint8), "alphas": np.zeros(1)})


@dataclass(frozen=True)
class SleepingLoop:
    """A training, or with a pool a fine-tuning.

    Attributes:
        stage: its name in the journal.
        steps: of it.
        seconds: of one.
        pool: who makes a morph for each worker and step.
    """

    stage: str
    steps: int
    seconds: float
    journal: Journal
    pool: MorphPool | None = None

    def build(self, start: Checkpoint, place: WorkerPlace) -> SleepingSteps:
        return SleepingSteps(self, start.step, place)


@dataclass(frozen=True)
class SleepingReport:
    """A step that has no loss."""

    step: int
    loss: float = 0.0


def _unexpected(task: object, reason: str) -> None:
    raise RuntimeError(f"{task} only sleeps and cannot fail: {reason}")


class SleepingSteps:
    """A `SleepingLoop` under way."""

    def __init__(self, loop: SleepingLoop, step: int, place: WorkerPlace) -> None:
        self._loop, self._place, self.step_number = loop, place, step
        self._ahead: TargetsAhead | None = None
        if loop.pool is not None:
            window = max(WINDOW_AT_LEAST, -(-2 * loop.pool.actors // place.replicas.world))
            self._ahead = TargetsAhead(
                loop.pool, self._task, start=step, stop=loop.steps, window=window, set_aside=_unexpected
            )

    def _task(self, step: int) -> tuple[Any, str]:
        return (self._place.replicas.rank, step), f"hat {step}"

    def step(self) -> SleepingReport:
        if self._place.replicas.rank == 0:
            with self._loop.journal.noted(self._loop.stage):
                self._wait()
        else:
            self._wait()
        self.step_number += 1
        return SleepingReport(self.step_number - 1)

    def _wait(self) -> None:
        if self._ahead is not None:
            self._ahead.get(self.step_number)
        time.sleep(self._loop.seconds)
        self._place.replicas.maximum(torch.zeros(1))

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.step_number, {"state.json": b"{}"})

    @property
    def is_settled(self) -> bool:
        return True

    def check_replicas(self) -> None:
        """Nothing can drift."""

    def close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
