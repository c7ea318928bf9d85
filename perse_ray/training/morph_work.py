"""Work of a morph actor: the morph of a task, kept in the workspace's ``morphs/`` under its content key.

A repeated run, or another worker, takes it from there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any, Protocol

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data import archive
from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays
from perse.data.workspace import Workspace
from perse.errors import WorkspaceError
from perse.head import HeadModel
from perse.head.sources import HeadSource
from perse.morphing import FrameOrigin, MorphCost, MorphEnd, Morpher, morph_end
from perse_ray.rows.fault_handling import one_line
from perse_ray.rows.fingerprint import fingerprint

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]

STAGE = "morph"
"""What the quarantine calls it."""

OPEN_CLIPS = 256
"""Clips that a replica keeps open: their motion, 0.2 MB each, and none of their pictures."""


class MorpherConfig(Protocol):
    """Description of a morpher; loaded in the replicas."""

    def build(self) -> Morpher: ...


@dataclass(frozen=True)
class MorphTask:
    """A morph by content: which clips, not which rows of somebody's table.

    Attributes:
        first_clip, second_clip: content keys of the clips.
        category: what they differ in.
        frame_number: position in the shared motion.
        alphas: where between the two.
    """

    first_clip: str
    second_clip: str
    category: Category
    frame_number: int
    alphas: tuple[float, ...]


@dataclass(frozen=True)
class Made:
    """Result of a task's work.

    Attributes:
        arrays: the answer, deterministic; this is kept.
        cost: what it took. Never kept: it depends on what the actor remembered.
    """

    arrays: Mapping[str, Shaped[NDArray[Any], "..."]]
    cost: MorphCost = field(default_factory=MorphCost)


class TaskWork(Protocol):
    """Worker that makes the arrays of a task. Deterministic."""

    def __call__(self, task: Any) -> Made: ...


class TaskWorkConfig(Protocol):
    """Description of a task's work, small and picklable."""

    @property
    def workspace(self) -> Workspace:
        """Workspace where what was made is kept."""
        ...

    @property
    def ingredients(self) -> object:
        """Ingredients that decide how morphs look; a part of their content keys."""
        ...

    def build(self) -> TaskWork: ...


@dataclass(frozen=True, kw_only=True)
class MorphWork:
    """Description of how morphs are made."""

    workspace: Workspace
    """Where the clips are."""

    head: HeadSource
    """Whose landmarks guide the warp."""

    morpher: MorpherConfig
    """What makes the pictures."""

    @cached_property
    def ingredients(self) -> object:
        return self.head, self.morpher, fingerprint(self.head, self.morpher)

    def build(self) -> MorphMaker:
        return MorphMaker(self.workspace, self.head.load(), self.morpher.build())


class MorphMaker:
    """Worker that makes morphs; keeps clips open, and decodes the frames it needs."""

    def __init__(self, workspace: Workspace, head: HeadModel, morpher: Morpher) -> None:
        self._workspace, self._head, self._morpher = workspace, head, morpher
        self._opened = lru_cache(maxsize=OPEN_CLIPS)(partial(archive.open_clip, workspace))

    def __call__(self, task: MorphTask) -> Made:
        """images [m, h, w, 3] uint8 on white; alphas [m] float64, where they lie; parts [m, h, w] bool, if known."""
        first, second = self._end(task.first_clip, task), self._end(task.second_clip, task)
        morph = self._morpher.morph(first, second, task.alphas)
        found: Arrays = {"images": morph.images, "alphas": np.asarray(morph.positions, np.float64)}
        if morph.shapes is not None:
            found["parts"] = morph.shapes
        return Made(found, morph.cost)

    def _end(self, key: str, task: MorphTask) -> MorphEnd:
        file = self._opened(key)
        row = file.frame_numbers.tolist().index(task.frame_number)
        origin = FrameOrigin(self._workspace, key, task.frame_number)
        return morph_end(file.clip(row), task.category, self._head, origin)


@dataclass(frozen=True)
class Answer:
    """An actor's answer.

    Attributes:
        arrays: of the task.
        found: whether they lay in the workspace.
        cost: what the actor spent on it.
    """

    arrays: Arrays
    found: bool
    cost: MorphCost


def make_cached(work: TaskWork, workspace: Workspace, key: str, task: Any) -> tuple[Made, bool]:
    """Morph from the workspace (True), or made and put there (False)."""
    cached = read_cached(workspace, key)
    if cached is not None:
        return Made(cached), True
    made = work(task)
    arrays = {name: np.ascontiguousarray(value) for name, value in made.arrays.items()}
    workspace.write(f"morphs/{key}.npz", arrays_to_npz(arrays))
    return Made(arrays, made.cost), False


def read_cached(workspace: Workspace, key: str) -> Arrays | None:
    """Morph that lies in the workspace; a damaged file counts as absent and is made again."""
    if not workspace.has(f"morphs/{key}.npz"):
        return None
    try:
        return npz_to_arrays(workspace.read(f"morphs/{key}.npz"))
    except (ValueError, OSError, KeyError, WorkspaceError) as error:
        log.warning("cached morph %s is damaged and will be made again: %s", key, one_line(error))
        return None
