"""Adapters of subjects on Ray Data, one each: what DiffMorpher needs before it can make the first morph.

A row is a subject's clip; its key is the adapter's. An adapter that lies in the workspace is never trained again, and
one whose training failed is in quarantine: its subject has no interpolation targets, and everybody else does.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perse.data import archive
from perse.data.frame_stream import MIB, FrameStream, StreamedPictures
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.morphing.diffusion.adapters import FOLDER, adapter_file, save_adapter
from perse.morphing.subject_lora import SubjectLoraConfig, SubjectLoraTrainer, training_frames
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.executor import Executor
from perse_ray.rows.stage import (
    ATTEMPTS,
    ERROR,
    FAILED,
    FAILED_STAGE,
    KEY,
    NAME,
    STATUS,
    TRACEBACK,
    Pool,
    Row,
    Stage,
    Value,
)
from perse_ray.runtime.progress import Progress

log = logging.getLogger(__name__)

STAGE = "adapt"

DECODED_MIB = 64
"""Of decoded frames while they are encoded: each is needed once."""


@dataclass(frozen=True, kw_only=True)
class AdapterWork:
    """Work of a row: training of adapters."""

    workspace: Workspace
    """Where the clips are, and where the adapters go."""

    lora: SubjectLoraConfig
    """How."""

    frames: tuple[int, ...] = ()
    """Frame numbers to train on; all where empty."""

    def build(self) -> _Adapt:
        return _Adapt(self)


class _Adapt:
    """clips/<clip>.parquet → adapters/<key>.safetensors."""

    def __init__(self, work: AdapterWork) -> None:
        self._work = work
        self._trainer: SubjectLoraTrainer = work.lora.build()

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        key, clip = str(row[KEY]), str(row["clip"])
        workspace = self._work.workspace
        if workspace.has(adapter_file(key)):
            return {"adapted": True}
        start = time.perf_counter()
        file = archive.open_clip(workspace, clip)
        rows = np.asarray(training_frames(file.frame_numbers.tolist(), self._work.frames), np.intp)
        frames = StreamedPictures(FrameStream(DECODED_MIB * MIB), file, "image", rows)
        trained = self._trainer.train(frames, clip)
        notes = {"clip": clip, "model": self._trainer.model.digest, "steps": str(trained.steps)}
        save_adapter(workspace, key, trained.adapter, notes)
        return {
            "adapted": True,
            "first_loss": trained.losses[0],
            "last_loss": trained.losses[-1],
            "adapt_s": time.perf_counter() - start,
        }


def adapter_stage(work: AdapterWork, pool: Pool) -> Stage:
    """Stage of the adapters; `pool.resources` should claim a GPU where there is one."""
    writes: tuple[tuple[str, Value], ...] = (
        ("adapted", False), ("first_loss", 0.0), ("last_loss", 0.0), ("adapt_s", 0.0),
    )  # fmt: skip
    return replace(pool, batch_size=1).stage(STAGE, work, ("clip",), writes)


@dataclass(frozen=True)
class SubjectAdapters:
    """Adapters that are there after the stage.

    Attributes:
        ready: clips that have an adapter.
        quarantined: clips that have none, with the reason.
    """

    ready: tuple[str, ...]
    quarantined: tuple[QuarantinedRow, ...]


def train_adapters(
    work: AdapterWork,
    clips: Mapping[str, str],
    pool: Pool,
    *,
    execute: Executor,
    show: Callable[[str], None] | None = None,
) -> SubjectAdapters:
    """Adapters of subjects, of which those that are missing are trained.

    Args:
        clips: content key of each subject's clip, by the subject's name.
        execute: `perse_ray.rows.on_ray_data.run`, or `perse_ray.rows.in_process.run`.

    Raises:
        MissingWeightsError: the model's weights are not here.
        StageError: no worker can be built, or the pipeline stands still.
    """
    rows: list[Row] = [{KEY: work.lora.key(clip), NAME: name, "clip": clip} for name, clip in clips.items()]
    finished, failed = _known(work.workspace)
    left = [row for row in rows if row[KEY] not in finished and row[KEY] not in failed]
    if left:
        _run(left, work, pool, execute, show)
        finished, failed = _known(work.workspace)
    return SubjectAdapters(
        tuple(str(row["clip"]) for row in rows if row[KEY] in finished),
        tuple(failed[str(row[KEY])] for row in rows if row[KEY] in failed and row[KEY] not in finished),
    )


def _run(
    rows: Sequence[Row], work: AdapterWork, pool: Pool, execute: Executor, show: Callable[[str], None] | None
) -> None:
    ledger = AttemptLedger(work.workspace, secrets.token_hex(4))
    failed = 0
    with Progress("adapters", len(rows), write=show) as progress:
        for row in execute(rows, (adapter_stage(work, pool),), ledger):
            if row[STATUS] == FAILED:
                failed += 1
                archive.save_quarantined(work.workspace, _quarantined(row))
                log.warning("%s has no adapter, its pairs are left out: %s", row[NAME], row[ERROR])
            progress.advance(note=f"{failed} failed" if failed else "")
    ledger.close()


def _known(workspace: Workspace) -> tuple[set[str], dict[str, QuarantinedRow]]:
    """Keys of adapters that are there, and of those that are in quarantine."""
    failed = {row.key: row for row in archive.load_quarantined(workspace)}
    return set(workspace.names(FOLDER, ".safetensors")), failed


def _quarantined(row: Row) -> QuarantinedRow:
    return QuarantinedRow(
        key=str(row[KEY]),
        name=str(row[NAME]),
        stage=str(row[FAILED_STAGE]),
        error=str(row[ERROR]),
        traceback=str(row[TRACEBACK]),
        attempts=int(row[ATTEMPTS]),
    )
