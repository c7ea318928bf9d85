"""Board on which a training tells how far it is, wherever its workers are.

Rank 0 writes, the driver reads: progress and warnings for people, and curves, which the driver alone sends to MLflow.
An actor between the two, since worker and driver share no folder; in the driver's own process, the board itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import ray

Point = tuple[int, dict[str, float]]
"""A finished step and its numbers."""


@dataclass(frozen=True)
class NewLines:
    """Lines that were written since the last reading.

    Attributes:
        step: the newest finished step; -1 before the first.
        loss: its loss.
        points: steps with their numbers, for curves.
        warnings: what people should know of.
    """

    step: int = -1
    loss: float = 0.0
    points: tuple[Point, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class Board:
    """Board in one process."""

    _told: NewLines = field(default_factory=NewLines)
    _lock: Any = field(default_factory=threading.Lock)

    def write(self, step: int, loss: float, points: list[Point]) -> None:
        """Note that a step is finished; `points` are numbers of this one and of earlier ones."""
        with self._lock:
            self._told = replace(self._told, step=step, loss=loss, points=(*self._told.points, *points))

    def warn(self, line: str) -> None:
        """Write something that people should know of."""
        with self._lock:
            self._told = replace(self._told, warnings=(*self._told.warnings, line))

    def read(self) -> NewLines:
        """Lines that are new."""
        with self._lock:
            told, self._told = self._told, NewLines(self._told.step, self._told.loss)
            return told


class ProgressBoard(Protocol):
    """Board as both sides see it. A value: it travels to the worker."""

    def write(self, step: int, loss: float, points: list[Point]) -> None: ...

    def warn(self, line: str) -> None: ...

    def read(self) -> NewLines: ...


class RemoteBoard:
    """Board in an actor, which lives as long as the driver holds this. It claims no resources."""

    def __init__(self) -> None:
        self._actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()

    def write(self, step: int, loss: float, points: list[Point]) -> None:
        """Note a step without waiting: if the board is gone for a moment, some curve points are lost and nothing
        else."""
        self._actor.write.remote(step, loss, points)

    def warn(self, line: str) -> None:
        """Write a warning without waiting."""
        self._actor.warn.remote(line)

    def read(self) -> NewLines:
        return ray.get(self._actor.read.remote(), timeout=30)  # type: ignore[no-any-return]
