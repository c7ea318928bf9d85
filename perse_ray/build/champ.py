"""Training of portrait-Champ from a folder of videos to an animator, stage by stage.

::

    prepare videos (Ray Data) ─► frames (Ray Train) ─► motion modules (Ray Train) ─► weights

What is finished is skipped, so the same command repeated after any interruption goes on where it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from perse.data.keys import content_key
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.recipes.champ import ChampRecipe
from perse.synthesis.production.portrait_champ.footage_sampler import Take
from perse_ray.build.components import resources_of
from perse_ray.build.inspection import mend_noted
from perse_ray.build.values import flat_params
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.registry.stage_log import StageLog
from perse_ray.rows import on_ray_data
from perse_ray.rows.stage import Stage
from perse_ray.runtime.session import LocalRay, ray_session
from perse_ray.training.champ_train import ChampLoop
from perse_ray.training.champ_videos import PreparedVideos, PrepareVideo, prepare_stage, prepare_videos
from perse_ray.training.ray_train import TrainTask, WorkerGroup, train

log = logging.getLogger(__name__)

WEIGHTS = "weights"
"""Folder of a workspace with what `PortraitChampConfig` loads."""
SAMPLES = "report/samples"
"""Folder with strips of samples."""


@dataclass(frozen=True, kw_only=True)
class ChampRequest:
    """Request for one training."""

    recipe: ChampRecipe
    """Sizes, numbers, weights to start with."""
    videos: str
    """Folder with videos, a local path that all workers see or an address."""
    workspace: Workspace
    """Where everything goes."""
    retry_failed: bool = False
    """Whether to try videos again that ended in quarantine."""
    local: LocalRay = field(default_factory=LocalRay)
    """The private Ray, where no cluster is joined."""
    show: Callable[[str], None] | None = None
    """Where progress lines go; None draws live bars on a terminal."""


@dataclass(frozen=True)
class ChampResult:
    """Result of a training.

    Attributes:
        takes: videos that were trained on.
        quarantined: videos that could not be used.
        numbers: of the last strip of samples.
        seconds: wall time of this run.
    """

    takes: tuple[Take, ...]
    quarantined: tuple[QuarantinedRow, ...]
    numbers: dict[str, float]
    seconds: float


def train_champ(request: ChampRequest) -> ChampResult:
    """Train, or what is missing of it.

    Raises:
        PerseError: something the user can act on; what is finished stays finished.
    """
    begin = time.perf_counter()
    workspace, recipe = request.workspace, request.recipe
    workspace.claim(content_key("portrait-champ")[:16])
    books = BuildLog.open(workspace, f"{recipe.name} {workspace.location.rpartition('/')[2]}")
    for finding in mend_noted(workspace):
        log.warning("%s; it is made again", finding)
    with ExitStack() as held, books.recorded():
        held.enter_context(ray_session(request.local))
        prepared = _prepare(request)
        books.parent.metrics({"videos": len(prepared.takes), "quarantined": len(prepared.quarantined)})
        first = ChampLoop(
            workspace=workspace, recipe=recipe, training=recipe.frames, stage="frames", takes=prepared.takes
        )
        _train(request, books, first, "weights/frames")
        second = replace(first, training=recipe.motion, stage="motion", base="weights/frames")
        numbers = _train(request, books, second, WEIGHTS)
    return ChampResult(prepared.takes, prepared.quarantined, numbers, time.perf_counter() - begin)


def _prepare(request: ChampRequest) -> PreparedVideos:
    recipe, pool = request.recipe, request.recipe.prepare
    work = PrepareVideo(
        workspace=request.workspace, head=recipe.head, footage=recipe.footage, held_out_every=recipe.held_out_every
    )

    def stage_of(work: PrepareVideo) -> Stage:
        return prepare_stage(work, workers=pool.workers, resources=resources_of(pool), time_limit_s=pool.time_limit_s)

    return prepare_videos(
        request.videos, work, stage_of, execute=on_ray_data.run, retry_failed=request.retry_failed, show=request.show
    )


def _train(request: ChampRequest, books: BuildLog, loop: ChampLoop, target: str) -> dict[str, float]:
    """One stage: its checkpoints, its curves and samples in MLflow, its weights in the workspace."""
    workspace, recipe = request.workspace, request.recipe
    folder = CheckpointFolder(workspace, loop.stage)
    made_of = loop.made_of()
    note = f"checkpoints/{loop.stage}.json"
    begun = workspace.has(note) and workspace.read_json(note).get("inputs") == made_of
    if not begun or folder.load() is None:
        folder.clear()
        workspace.remove(f"manifests/{loop.stage}.json")
        folder.save(loop.first())
        workspace.write_json(note, {"inputs": made_of})
    if workspace.manifest(loop.stage) is None:
        with books.stage(loop.stage) as child:
            child.params(flat_params(loop.training))
            group = WorkerGroup(
                workers=recipe.workers,
                threads=recipe.worker.threads,
                num_cpus=recipe.worker.cpus,
                num_gpus=recipe.worker.gpus,
                checkpoint_every=recipe.checkpoint_every,
            )
            task = TrainTask(workspace=workspace, stage=loop.stage, loop=loop, log=child)
            final = train(task, group, show=request.show)
            for name, content in loop.weights(final).items():
                workspace.write(f"{target}/{name}", content)
            _log_samples(workspace, loop.stage, child)
        workspace.commit(loop.stage, {"inputs": made_of, "step": final.step})
    return _last_numbers(workspace, loop.stage)


def _log_samples(workspace: Workspace, stage: str, child: StageLog) -> None:
    """Strips as pictures, their numbers as curves."""
    for name in _sampled(workspace, stage):
        child.metrics(workspace.read_json(f"{SAMPLES}/{name}.json"), int(name.rpartition("-")[2]))
        if workspace.is_local:
            child.artifact(workspace.local_path(f"{SAMPLES}/{name}.png"), "samples")


def _last_numbers(workspace: Workspace, stage: str) -> dict[str, float]:
    names = _sampled(workspace, stage)
    if not names:
        log.warning("the samples of %s are gone; there are no numbers to show", stage)
        return {}
    return workspace.read_json(f"{SAMPLES}/{names[-1]}.json")


def _sampled(workspace: Workspace, stage: str) -> list[str]:
    return [name for name in workspace.names(SAMPLES, ".json") if name.startswith(f"{stage}-")]
