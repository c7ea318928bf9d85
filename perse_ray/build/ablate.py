"""Ablation grid: one avatar for each variant of a recipe, on shared clips, a row of Ray Data each."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from perse.data import archive
from perse.data.images import decode_image, encode_image
from perse.data.keys import content_key
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.evaluation import interpolation_pairs
from perse.evaluation.measurements import spread
from perse.evaluation.metrics import Metric, MetricTable
from perse.evaluation.protocols import Instruments, ProtocolMeasurer, table1_row, table2_row
from perse.recipes import Recipe, WorkerPool
from perse.recipes.ablations import ablations
from perse.report.sheets import Tile, contact_sheet
from perse_ray.build.components import pool_of
from perse_ray.build.contenders import Contender, train_contender
from perse_ray.build.request import BuildRequest
from perse_ray.build.run import BuildRun
from perse_ray.build.shared_clips import SharedClips
from perse_ray.build.unscreened import refused_subjects, unscreened
from perse_ray.build.values import without_nan
from perse_ray.build.worker_rows import run_rows
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.rows.stage import KEY, NAME, Row, RowWork, Value

COLUMNS = ("PSNR", "SSIM", "LPIPS", "PSNR, person", "dlib distance", "PPL", "sum, multi-scale L1")
"""Of Tables 1 and 2, what the page shows."""

SCREENLESS = "- quality screen"
"""The one variant that has other clips: it also learns the edits that the screen refused. All are measured on the same
subjects, so the row tells what the refused ones do to the others."""

PICTURES = 5
"""Subjects of a strip, the reference first."""


@dataclass(frozen=True, kw_only=True)
class AblationRequest:
    """Request for an ablation: the variants that are compared.

    Attributes:
        workspace: with finished clips; recipe: that made them, and what the variants start from.
        steps: of every training; workers: trainings at once; only: variants whose names contain it, all if empty.
        frames, pairs, poses: see `perse_ray.build.protocols.ProtocolRequest`.
    """

    workspace: Workspace
    recipe: Recipe
    steps: int
    workers: int = 1
    only: str = ""
    frames: int = 4
    pairs: int = 1
    poses: int = 1
    seed: int = 0


def ablate(request: AblationRequest) -> MetricTable:
    """Train and measure what is missing; writes ``report/ablations.md``, ``.json`` and a page with pictures.

    Raises:
        InputError: the workspace has no clips, or no variant has such a name.
    """
    shared = SharedClips.of(request.workspace, request.recipe)
    refused = refused_subjects(shared)
    every = all_variants(request.recipe)
    variants = {name: one for name, one in every.items() if request.only in name}
    if not variants:
        raise InputError(f"no ablation is called {request.only!r}; there are {', '.join(every)}")
    if not refused and variants.pop(SCREENLESS, False) and not variants:
        raise InputError(f"the screen refused no edit of {request.workspace.location}: without it nothing is different")
    build = BuildRequest(
        recipe=request.recipe, photograph=archive.load_portrait(request.workspace).image, workspace=request.workspace
    )
    with ExitStack() as held, BuildLog.open(request.workspace, "ablations").recorded() as log:
        run = BuildRun(build, held, log)
        looser = unscreened(run, shared, refused) if SCREENLESS in variants else shared
        rows = [
            _row(request, looser if name == SCREENLESS else shared, name, variant) for name, variant in variants.items()
        ]
        todo = [row for row in rows if not request.workspace.has(_file(row))]
        if todo:
            pool = WorkerPool(workers=(1, request.workers), time_limit_s=6 * 3600.0)
            work = AblationWork(shared=shared, unscreened=looser, request=request)
            run_rows(run, todo, pool_of(pool).stage("ablate", work, ("variant",), (("trained", False),)), pool)
    found = {str(row["variant"]): request.workspace.read_json(_file(row)) for row in rows}
    return _published(request, shared, found, len(refused))


def all_variants(recipe: Recipe) -> dict[str, Recipe]:
    """Recipes by the variant's name, the one without the screen last."""
    return {**ablations(recipe), SCREENLESS: recipe}


def _row(request: AblationRequest, shared: SharedClips, name: str, variant: Recipe) -> Row:
    other = () if variant.encoder == request.recipe.encoder else (variant.encoder,)
    key = content_key(
        "ablation", shared.clips, variant.avatar, variant.start, variant.training, request.steps, request.seed,
        request.frames, request.pairs, request.poses, *other,
    )  # fmt: skip
    return {KEY: key[:32], NAME: f"ablation {name}", "variant": name}


def _file(row: Mapping[str, Any]) -> str:
    return f"measurements/ablation-{row[KEY]}.json"


@dataclass(frozen=True, kw_only=True)
class AblationWork:
    """Work of a row: variants → numbers and a strip of pictures."""

    shared: SharedClips
    """The clips of all."""
    unscreened: SharedClips
    """Those of the variant without a screen; these clips are the first of them."""
    request: AblationRequest
    """How long, and how much is measured."""

    def build(self) -> RowWork:
        return _Ablate(self)


class _Ablate:
    def __init__(self, work: AblationWork) -> None:
        self._shared, self._unscreened, self._request = work.shared, work.unscreened, work.request
        self._instruments = Instruments.at_hand()

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        request, shared = self._request, self._shared
        variant = all_variants(request.recipe)[str(row["variant"])]
        contender = Contender(
            name=str(row["variant"]), avatar=variant.avatar, start=variant.start, training=variant.training
        )
        lesson = self._unscreened if contender.name == SCREENLESS else shared.encoded_by(variant.encoder)
        done = train_contender(lesson, contender, request.steps, request.seed, lambda _: None)
        measurer = ProtocolMeasurer(
            avatar=done.avatar, clips=shared.unseen(), rasterizer=request.recipe.rasterizer,
            instruments=self._instruments, frames=request.frames, poses=request.poses,
        )  # fmt: skip
        unseen = [measurer.unseen(subject) for subject in range(len(shared.subjects))]
        ways = [measurer.way(a, b) for a, b in interpolation_pairs(shared.subjects, request.pairs, request.seed)]
        missing = self._instruments.missing
        metrics = {**table1_row(unseen, missing), **table2_row(ways, None, missing)}
        shown, frame = spread(len(shared.subjects), PICTURES), spread(len(measurer.clips[0]), 3)[1]
        strip = np.concatenate([measurer.pictures(subject, [frame])[0] for subject in shown], 1)
        found = {
            "metrics": {name: asdict(metric) for name, metric in metrics.items()},
            "cost": {"steps": done.steps, "CPU s": round(done.cpu_s, 1)},
            "strip": base64.b64encode(encode_image(strip)).decode(),
        }
        shared.workspace.write_json(_file(row), without_nan(found))
        return {"trained": True}


def _published(request: AblationRequest, shared: SharedClips, found: Mapping[str, Any], refused: int) -> MetricTable:
    rows = {}
    for name, one in found.items():
        cells = {column: _metric(one["metrics"][column]) for column in COLUMNS if column in one["metrics"]}
        rows[name] = {"CPU min": Metric(one["cost"]["CPU s"] / 60), **cells}
    table = MetricTable(
        f"Ablations: {request.steps} steps each, {len(shared.subjects)} subjects; the screen refused {refused or 'no'} "
        f"more{'' if refused else ': there is nothing to learn without it'}",
        rows,
    )
    strips = {name: decode_image(base64.b64decode(one["strip"])) for name, one in found.items()}
    sheet = encode_image(_sheet(shared, strips))
    request.workspace.write("report/ablations.png", sheet)
    picture = f'<img alt="every variant" src="data:image/png;base64,{base64.b64encode(sheet).decode()}">'
    for ending, text in ((".md", table.markdown()), (".json", table.json()), (".html", table.html() + picture)):
        request.workspace.write(f"report/ablations{ending}", text.encode())
    return table


def _metric(values: Mapping[str, Any]) -> Metric:
    """What JSON kept: null with nothing missing is nan."""
    found = Metric(**values)
    return replace(found, value=float("nan")) if found.value is None and not found.missing else found


def _sheet(shared: SharedClips, strips: Mapping[str, np.ndarray]) -> np.ndarray:
    """The clips above, then every variant."""
    clips = shared.unseen()
    shown, frame = spread(len(clips), PICTURES), spread(len(clips[0]), 3)[1]
    tiles = [
        Tile(np.ascontiguousarray(clips[row].images[frame]), shared.subjects[row].text or "reference") for row in shown
    ]
    for name, strip in strips.items():
        size = strip.shape[0]
        tiles += [Tile(np.ascontiguousarray(strip[:, i * size : (i + 1) * size]), name) for i in range(len(shown))]
    return contact_sheet(tiles, columns=len(shown))
