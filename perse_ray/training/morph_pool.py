"""Morphs between subjects' frames, made ahead of fine-tuning by a pool of actors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data import archive
from perse.data.workspace import Workspace
from perse.head import HeadModel
from perse.head.sources import HeadSource
from perse.morphing import MorphEnd, Morpher, morph_end
from perse.training import ClipStore, FineTuner, MorphRequest
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.training.prefetch import Ahead, AheadConfig, AheadStats

OPEN_CLIPS = 256
"""Clips that a morph actor keeps open: their motion, 0.2 MB each, and none of their pictures."""


class MorpherConfig(Protocol):
    """Describes a morpher; loaded in the actors."""

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


@dataclass(frozen=True, kw_only=True)
class MorphWork:
    """How morphs are made."""

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
    """Makes morphs; keeps clips open, and decodes the frames it needs."""

    def __init__(self, workspace: Workspace, head: HeadModel, morpher: Morpher) -> None:
        self._head, self._morpher = head, morpher
        self._opened = lru_cache(maxsize=OPEN_CLIPS)(partial(archive.open_clip, workspace))

    def __call__(self, request: MorphTask) -> dict[str, NDArray[Any]]:
        """images [m, h, w, 3] uint8 on white, at the request's alphas."""
        first, second = self._end(request.first_clip, request), self._end(request.second_clip, request)
        return {"images": self._morpher.morph(first, second, request.alphas).images}

    def _end(self, key: str, request: MorphTask) -> MorphEnd:
        file = self._opened(key)
        row = file.frame_numbers.tolist().index(request.frame_number)
        return morph_end(file.clip(row), request.category, self._head)


class PooledMorphs:
    """The `MorphSource` of a fine-tuning run: always a few steps ahead of it.

    Args:
        work: how morphs are made.
        clips: content keys of the clips by row of the subjects table.
        store: their training frames, for the fallback.
        stop: the last step.
        config: pool and window.
    """

    def __init__(self, work: MorphWork, clips: Sequence[str], store: ClipStore, stop: int, config: AheadConfig) -> None:
        self._work, self._clips, self._store, self._stop, self._config = work, tuple(clips), store, stop, config
        self._tuner: FineTuner | None = None
        self._ahead: Ahead[MorphTask] | None = None

    def serve(self, tuner: FineTuner) -> None:
        """Start working for a fine-tuning run, from its next step on."""
        self._tuner = tuner
        self._ahead = Ahead(
            self._work,
            lambda step: self.task(tuner.request(step)),
            self._work.workspace,
            start=tuner.trainer.step_number,
            stop=self._stop,
            config=self._config,
        )

    def task(self, request: MorphRequest) -> MorphTask:
        """A request in terms of content."""
        first, second = self._clips[request.first], self._clips[request.second]
        return MorphTask(first, second, request.category, request.frame_number, request.alphas)

    def get(self, requests: Sequence[MorphRequest]) -> list[NDArray[np.uint8]]:
        """The pictures of the run's next step. A morph that could not be made becomes a cross-fade, and is counted."""
        assert self._tuner is not None and self._ahead is not None, "serve() comes first"
        arrays = self._ahead.get(self._tuner.trainer.step_number)
        (request,) = requests
        # A copy: what comes out of Ray's shared memory cannot be written to, which torch does not like.
        return [cross_fade(request, self._store) if arrays is None else arrays["images"].copy()]

    @property
    def stats(self) -> AheadStats:
        return self._ahead.stats if self._ahead else AheadStats()

    def close(self) -> None:
        if self._ahead:
            self._ahead.close()


def cross_fade(request: MorphRequest, store: ClipStore) -> NDArray[np.uint8]:
    """The two frames blended: the poorest morph, but never a wrong one at the ends."""
    ends = store.batch([request.first, request.second], [request.frame] * 2).images.numpy().astype(np.float32)
    mixed = [(1 - alpha) * ends[0] + alpha * ends[1] for alpha in request.alphas]
    return (np.stack(mixed) + 0.5).astype(np.uint8)
