"""Report of a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from perse.attributes import Category
from perse.avatar import load_avatar
from perse.data import archive
from perse.data.code_version import code_version
from perse.data.workspace import Workspace
from perse.recipes import Recipe
from perse_ray.build.components import device_of
from perse_ray.build.manifests import Result
from perse_ray.build.run import BuildRun
from perse_ray.build.worker_rows import run_once
from perse_ray.registry.stage_log import StageLog
from perse_ray.runtime.local_folders import folder_copy, folder_to_fill
from perse_ray.training.clips import captured_frames, load_clips

CURVES = ("loss", "l1", "ssim", "alpha", "steps_per_s", "waited_s")
"""Curves that the report shows, of both trainings."""

EDITS_SHOWN = 12
"""Of each category, at most: the paper's 957 edits would fill gigabytes."""

Curves = dict[str, list[tuple[int, float]]]


@dataclass(frozen=True, kw_only=True)
class ReportTask:
    """Task of drawing a report, as a value that travels to who draws it."""

    workspace: Workspace
    """Where everything is."""
    recipe: Recipe
    """Who draws, and which frames were trained on."""
    clips: tuple[str, ...]
    """Content keys of the clips, the reference's first."""
    edits: tuple[str, ...]
    """Keys of the edits that are shown."""
    curves: Curves
    """Training curves by name."""
    metrics: Mapping[str, Any]
    """The content of metrics.json."""
    device: str
    """Where: "cpu" or "cuda"."""
    captured: str | None = None
    """Content key of the clip of the person's own video."""


def draw_report(task: ReportTask) -> None:
    """Fill the workspace's report/."""
    from perse.report import write_report
    from perse.report.assemble import ReportInputs, assemble_report

    workspace, recipe = task.workspace, task.recipe
    clips = load_clips(workspace, task.clips, recipe.cluster.clips_mib)
    with folder_copy(workspace, "avatar") as folder:
        avatar = load_avatar(folder).eval().to(torch.device(task.device))
    video = None
    if task.captured is not None:
        video = captured_frames(workspace, task.captured, recipe.filming.train_frames)[1]
    inputs = ReportInputs(
        portrait=archive.load_portrait(workspace),
        model=recipe.head.load(),
        edits=[archive.load_edit(workspace, key) for key in task.edits],
        clips=[clips.clip(row) for row in range(clips.n_subjects)],
        unseen=frozenset(recipe.filming.test_frames),
        avatar=avatar,
        rasterizer=recipe.rasterizer,
        curves=task.curves,
        metrics=task.metrics,
        video=video,
    )
    with folder_to_fill(workspace, "report") as target:
        write_report(target, assemble_report(inputs))


class DrawReport:
    """Stage from everything so far to report/: a page, its pictures, metrics.json."""

    name = "report"
    after = ("export", "evaluate_before")

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        self._metrics = metrics

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return (code_version("perse.report.assemble"),)

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        run.tell("report: drawing")
        pool, workspace = run.recipe.cluster.report, run.request.workspace
        task = ReportTask(
            workspace=workspace,
            recipe=run.recipe,
            clips=run.clips,
            edits=_shown_edits(run),
            curves=_curves(run),
            metrics=self._metrics,
            device=device_of(pool, pool.workers[1]).type,
            captured=run.captured,
        )
        run_once(run, "draw the report", draw_report, task, pool=pool)
        with folder_copy(workspace, "report") as folder, run.log.stage(self.name) as child:
            files = sorted(path for path in folder.iterdir() if path.is_file())
            for path in files:
                child.artifact(path, "report")
            return {"files": [f"report/{path.name}" for path in files if path.name != "metrics.json"]}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return list(result["files"])


def _shown_edits(run: BuildRun) -> tuple[str, ...]:
    chosen: dict[Category, list[str]] = {}
    for subject in run.synthesis.subjects:
        keys = chosen.setdefault(subject.prompt.category, [])
        if len(keys) < EDITS_SHOWN:
            keys.append(subject.edit)
    shown = {key for keys in chosen.values() for key in keys}
    return tuple(subject.edit for subject in run.synthesis.subjects if subject.edit in shown)


def _curves(run: BuildRun) -> Curves:
    """Training curves from MLflow, named by stage."""
    found: Curves = {}
    for stage in ("train", "finetune"):
        child = run.results.get(stage, {}).get("run")
        if child:
            for name, points in StageLog(run.log.parent.store, child).curves().items():
                if name in CURVES and len(points) > 1:
                    found[f"{stage} {name}"] = points
    return found
