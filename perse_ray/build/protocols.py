"""The paper's protocols over a finished build, as rows on Ray Data: one subject or one pair each, resumable.

What was measured lies in ``measurements/`` under a key of all that decides it, so a run that was interrupted, or one
that asks for more pairs, does only what is missing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from perse.data import archive
from perse.data.images import encode_image
from perse.data.keys import content_key
from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.evaluation import interpolation_pairs
from perse.evaluation.measurements import spread
from perse.evaluation.metrics import Metric, MetricTable
from perse.evaluation.protocols import (
    Instruments,
    ProtocolMeasurer,
    UnseenScores,
    WayScores,
    table1_row,
    table2_row,
)
from perse.recipes import Recipe
from perse.recipes.resources import WorkerPool
from perse.training import avatar_of
from perse_ray.build.components import device_of, pool_of
from perse_ray.build.held_out import synthesize_held_out
from perse_ray.build.request import BuildRequest
from perse_ray.build.run import BuildRun
from perse_ray.build.shared_clips import SharedClips
from perse_ray.build.table6 import table6
from perse_ray.build.values import numbers_of
from perse_ray.build.worker_rows import run_rows
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.rows.stage import KEY, NAME, Row, RowWork, Value
from perse_ray.training.clips import load_clips, unseen_frames

STAGES = {"train": "without L_interp", "finetune": "with L_interp"}
"""Trainings of a build, and what Table 3 calls them."""

TITLES = {
    "table1": "Table 1: unseen poses",
    "table2": "Table 2: interpolations",
    "table3": "Table 3: interpolations, without and with the interpolation loss",
    "table6": "Table 6: self-driving, a real video against its synthetic twin",
}


@dataclass(frozen=True, kw_only=True)
class ProtocolRequest:
    """Request for a protocol: the measurements that are wanted.

    Attributes:
        workspace: of a finished build; recipe: that it was made with.
        protocol: one of `TITLES`.
        frames: unseen frames of a subject at most; pairs: interpolations of a category; poses: of an interpolation.
        held_out: subjects of each category with prompts that the training never used, for the distances of sets; 0
            leaves these out.
    """

    workspace: Workspace
    recipe: Recipe
    protocol: str
    frames: int = 16
    pairs: int = 3
    poses: int = 2
    held_out: int = 1


def evaluate_protocol(request: ProtocolRequest) -> MetricTable:
    """Measure what is missing, and write the table into ``report/`` and the build's MLflow run.

    Raises:
        InputError: the build is not finished.
    """
    shared = SharedClips.of(request.workspace, request.recipe)
    stages = _stages(request)
    build = BuildRequest(
        recipe=request.recipe, photograph=archive.load_portrait(request.workspace).image, workspace=request.workspace
    )
    with ExitStack() as held, BuildLog.open(request.workspace, request.protocol).recorded() as log:
        run = BuildRun(build, held, log)
        if request.protocol == "table6":
            (stage,) = stages
            table, sheet = table6(run, shared, stage, request.frames)
            _publish(run, request, table, encode_image(sheet))
            return table
        held_out: tuple[str, ...] = ()
        if request.held_out and request.protocol != "table1":
            held_out = synthesize_held_out(run, shared, request.held_out)
        rows = {label: _measured(run, request, shared, stage) for stage, label in stages.items()}
        table = MetricTable(
            f"{TITLES[request.protocol]} ({_sizes(request, shared, held_out)})",
            {label: _row(request, found, shared, held_out) for label, found in rows.items()},
        )
        _publish(run, request, table)
    return table


def _stages(request: ProtocolRequest) -> dict[str, str]:
    """Trainings whose avatars are rows of the table."""
    finished = [stage for stage in STAGES if request.workspace.manifest(stage) is not None]
    if not finished:
        raise InputError(f"{request.workspace.location} has no trained avatar; finish its build first (perse build)")
    if request.protocol != "table3":
        return {finished[-1]: request.recipe.name}
    if len(finished) < 2:
        raise InputError("table3 compares an avatar before and after fine-tuning, and this recipe has none")
    return {stage: STAGES[stage] for stage in finished}


def _sizes(request: ProtocolRequest, shared: SharedClips, held_out: Sequence[str]) -> str:
    unseen = len(spread(len(request.recipe.filming.test_frames), request.frames))
    if request.protocol == "table1":
        return f"{len(shared.subjects)} subjects × {unseen} poses"
    return (
        f"{request.pairs} pairs of each category × 9 × {request.poses} poses; {len(held_out)} held-out synthetic "
        f"subjects"
    )


@dataclass(frozen=True, kw_only=True)
class ProtocolWork:
    """Work of a row: from pieces of a protocol to their numbers."""

    shared: SharedClips
    """Of the avatar."""
    stage: str
    """Whose final checkpoint is measured."""
    device: str
    """Where."""
    frames: int
    """Unseen frames of a subject at most."""
    poses: int
    """Of an interpolation."""

    def build(self) -> RowWork:
        return _Measure(self)


class _Measure:
    def __init__(self, work: ProtocolWork) -> None:
        shared = work.shared
        checkpoint = CheckpointFolder(shared.workspace, work.stage).load()
        if checkpoint is None:
            raise InputError(f"the checkpoint of {work.stage} is gone; repeat perse build to make it again")
        self._workspace = shared.workspace
        self._measurer = ProtocolMeasurer(
            avatar=avatar_of(checkpoint).eval().to(torch.device(work.device)),
            clips=shared.unseen(),
            rasterizer=shared.recipe.rasterizer,
            instruments=Instruments.at_hand(),
            frames=work.frames,
            poses=work.poses,
        )

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        place, piece = _file(str(row[KEY])), json.loads(str(row["piece"]))
        if not self._workspace.has(place):
            if isinstance(piece, int):
                arrays = _plain(self._measurer.unseen(piece).values)
            else:
                way = self._measurer.way(*piece)
                arrays = {**_plain(way.values), **{f"features {name}": v for name, v in way.features.items()}}
            self._workspace.write(place, arrays_to_npz(arrays))
        return {"measured": True}


def _plain(values: Mapping[str, float]) -> dict[str, np.ndarray]:
    return {f"value {name}": np.array(value, np.float64) for name, value in values.items()}


def _file(key: str) -> str:
    return f"measurements/{key}.npz"


def _measured(run: BuildRun, request: ProtocolRequest, shared: SharedClips, stage: str) -> list[dict[str, np.ndarray]]:
    """All pieces of one avatar, those that are missing measured now."""
    pool: WorkerPool = request.recipe.cluster.evaluate
    made = request.workspace.manifest(stage) or {}
    pieces: list[Any] = list(range(len(shared.subjects)))
    if request.protocol != "table1":
        pieces = [list(pair) for pair in interpolation_pairs(shared.subjects, request.pairs, 0)]
    missing = sorted(Instruments.at_hand().missing)
    rows: list[Row] = [
        {
            KEY: content_key("protocol", made.get("products"), piece, request.frames, request.poses, missing)[:32],
            NAME: f"piece {piece}",
            "piece": json.dumps(piece),
        }
        for piece in pieces
    ]
    work = ProtocolWork(
        shared=shared, stage=stage, device=device_of(pool, pool.workers[1]).type, frames=request.frames,
        poses=request.poses,
    )  # fmt: skip
    todo = [row for row in rows if not request.workspace.has(_file(str(row[KEY])))]
    if todo:
        run_rows(run, todo, pool_of(pool).stage("evaluate", work, ("piece",), (("measured", False),)), pool)
    return [npz_to_arrays(request.workspace.read(_file(str(row[KEY])))) for row in rows]


def _row(
    request: ProtocolRequest, found: Sequence[Mapping[str, np.ndarray]], shared: SharedClips, held_out: Sequence[str]
) -> dict[str, Metric]:
    instruments = Instruments.at_hand()
    values = [_named(one, "value ") for one in found]
    plain = [{name: float(value) for name, value in one.items()} for one in values]
    if request.protocol == "table1":
        return table1_row([UnseenScores(one) for one in plain], instruments.missing)
    ways = [WayScores(one, _named(piece, "features ")) for one, piece in zip(plain, found, strict=True)]
    real = None
    if held_out:
        store = load_clips(shared.workspace, tuple(held_out), request.recipe.cluster.clips_mib)
        unseen = unseen_frames(store, request.recipe.filming.train_frames)
        chosen = spread(unseen.n_frames, request.poses)
        every = np.concatenate([unseen.clip(row).images[chosen] for row in range(unseen.n_subjects)])
        real = {names[0]: describe(every) for names, describe in instruments.spaces.items()}
    return table2_row(ways, real, instruments.missing)


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}


def _publish(run: BuildRun, request: ProtocolRequest, table: MetricTable, sheet: bytes = b"") -> None:
    """Markdown, JSON and a page beside the report, and the same as artifacts of the build's MLflow run.

    Args:
        sheet: a PNG that belongs to the page.
    """
    page = table.html().encode()
    if sheet:
        page += b'<img alt="what was measured" src="data:image/png;base64,' + base64.b64encode(sheet) + b'">\n'
    files = {".md": table.markdown().encode(), ".json": table.json().encode(), ".html": page}
    files |= {".png": sheet} if sheet else {}
    with run.log.stage(request.protocol) as child, TemporaryDirectory() as folder:
        for ending, content in files.items():
            request.workspace.write(f"report/{request.protocol}{ending}", content)
            local = Path(folder) / f"{request.protocol}{ending}"
            local.write_bytes(content)
            child.artifact(local, "report")
        child.metrics(numbers_of({_safe(c): m.value for row in table.rows.values() for c, m in row.items() if m.value}))
        child.flush()


def _safe(name: str) -> str:
    """A metric's name as MLflow takes it."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in " -_./") else "_" for letter in name)
