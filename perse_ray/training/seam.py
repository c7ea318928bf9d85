"""Seam of the trainings: what the loop on Ray Train asks of a training, and what it gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from perse.training import Replicas
from perse.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class WorkerPlace:
    """Place where one worker of a training works.

    Attributes:
        device: where its replica lives.
        replicas: those that it trains with.
    """

    device: torch.device
    replicas: Replicas


class StepNumbers(Protocol):
    """Numbers that a step tells about itself (`perse.training.trainer.StepReport`)."""

    step: int
    loss: float


class Loop(Protocol):
    """Training in progress."""

    @property
    def step_number(self) -> int:
        """Number of finished steps."""
        ...

    @property
    def is_settled(self) -> bool:
        """Whether the last step counted, the same on all workers. One that was skipped may be the first of several,
        after which the training goes back: nothing is saved until a step counts again."""
        ...

    def step(self) -> Any: ...

    def checkpoint(self) -> Checkpoint: ...

    def check_replicas(self) -> None:
        """Compare the replicas. Called by all workers at the same step, before a checkpoint. Raises StageError where
        they have drifted."""
        ...

    def close(self) -> None:
        """Free what it holds outside this process."""
        ...


class LoopConfig(Protocol):
    """Description of a training, picklable, built where it runs."""

    @property
    def steps(self) -> int:
        """Number of the last step."""
        ...

    def build(self, start: Checkpoint, place: WorkerPlace) -> Loop:
        """Training, continued from a checkpoint."""
        ...
