"""What `test_cluster_elastic` trains, importable by workers: the real training, slowly, in a journal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from perse.training import Checkpoint
from perse_ray.training.loops import Training, TrainingLoop
from perse_ray.training.seam import WorkerPlace


@dataclass(frozen=True, kw_only=True)
class Paced:
    """A training whose steps take a while; the first worker notes each step, and how many there are."""

    loop: TrainingLoop
    pause_s: float
    journal: str

    @property
    def steps(self) -> int:
        return self.loop.steps

    def build(self, start: Checkpoint, place: WorkerPlace) -> PacedTraining:
        return PacedTraining(self, self.loop.build(start, place))


class PacedTraining:
    """One under way."""

    def __init__(self, paced: Paced, inner: Training) -> None:
        self._paced, self._inner = paced, inner
        self.check_replicas, self.close = inner.check_replicas, inner.close

    @property
    def step_number(self) -> int:
        return self._inner.step_number

    @property
    def is_settled(self) -> bool:
        return self._inner.is_settled

    def step(self) -> Any:
        time.sleep(self._paced.pause_s)
        self._note(f"step {self.step_number}")
        return self._inner.step()

    def checkpoint(self) -> Checkpoint:
        self._note(f"saved {self.step_number}")
        return self._inner.checkpoint()

    def _note(self, what: str) -> None:
        replicas = self._inner.trainer.replicas
        if replicas.rank == 0:
            with open(self._paced.journal, "a") as stream:
                stream.write(f"{what} {replicas.world} {time.time():.2f}\n")
