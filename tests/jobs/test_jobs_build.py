"""From the sample portrait to a served avatar, on the smallest recipe that goes through every stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data.workspace import Workspace
from perse.errors import WorkspaceError
from perse.recipes import Filming, Recipe, recipe_named
from perse.synthesis.prompts import PromptPlan
from perse_ray.build.build import build
from perse_ray.build.request import BuildRequest, BuildResult
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.sources import find_places
from perse_ray.serving.schema.requests import RenderRequest

STAGES = {
    "encode",
    "set_up",
    "track",
    "synthesize",
    "train",
    "evaluate_before",
    "finetune",
    "evaluate",
    "export",
    "report",
    "register",
}


def smallest(steps: int) -> Recipe:
    recipe = recipe_named("tiny")
    assert recipe.finetuning is not None
    return replace(
        recipe,
        prompts=PromptPlan(((Category.HAT, 2),)),
        filming=Filming(stride=100, size_px=48),
        training=replace(recipe.training, steps=steps),
        finetuning=replace(recipe.finetuning, training=replace(recipe.finetuning.training, steps=4)),
    )


@dataclass(frozen=True)
class Built:
    workspace: Workspace
    photograph: NDArray[np.uint8]
    result: BuildResult
    lines: list[str]

    def again(self, steps: int = 6) -> BuildResult:
        request = BuildRequest(
            recipe=smallest(steps), photograph=self.photograph, workspace=self.workspace, show=self.lines.append
        )
        return build(request)


@pytest.fixture(scope="module")
def built(astronaut: NDArray[np.uint8], ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = Workspace.open(tmp_path_factory.mktemp("runs") / "me")
        lines: list[str] = []
        request = BuildRequest(recipe=smallest(6), photograph=astronaut, workspace=workspace, show=lines.append)
        yield Built(workspace, astronaut, build(request), lines)


def test_every_stage_is_committed_and_timed(built: Built) -> None:
    assert set(built.workspace.names("manifests", ".json")) == STAGES
    seconds = json.loads(built.workspace.read("report/metrics.json"))["seconds"]
    assert set(seconds) == {*STAGES, "total"} and all(value >= 0 for value in seconds.values())
    assert built.result.skipped == ()


def test_the_metrics_are_complete(built: Built) -> None:
    metrics = json.loads(built.workspace.read("report/metrics.json"))
    asked = (
        "psnr psnr_foreground ssim identity edit_gain_db leakage interp_sum interp_dev by_category before_finetune "
        "n_subjects n_gaussians seconds versions needs_weights"
    )
    assert set(asked.split()) <= set(metrics)
    assert metrics["n_subjects"] == 3 and set(metrics["by_category"]) == {"hat"}
    assert metrics["before_finetune"]["psnr"] > 5
    assert {"torch", "ray", "mlflow"} <= set(metrics["versions"])


def test_the_report_stands_alone(built: Built) -> None:
    page = built.workspace.read("report/report.html").decode()
    assert "data:image/webp;base64," in page and 'src="http' not in page


def test_mlflow_has_the_parent_its_stages_and_the_model(built: Built) -> None:
    log = BuildLog.open(built.workspace, "unused")
    client = log.parent.client
    experiment = client.get_run(log.parent.run).info.experiment_id
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{log.parent.run}'")
    without_numbers = {"encode", "set_up", "export"}
    assert STAGES - without_numbers <= {run.info.run_name for run in children}
    name = built.result.model.split()[0]
    assert int(client.get_model_version_by_alias(name, "champion").version) >= 1
    assert len(built.workspace.names("morphs", ".npz")) >= 1


def test_the_avatar_answers_requests(built: Built) -> None:
    cache = AvatarCache(find_places([built.workspace.location]), memory_mib=1000)
    info = cache.info("me")
    hat = next(subject.id for subject in info.subjects if subject.category is Category.HAT)
    plain = cache.avatar("me").render(RenderRequest(width=48, height=48))
    worn = cache.avatar("me").render(RenderRequest(width=48, height=48, attributes={Category.HAT: {hat: 1.0}}))
    assert np.abs(plain.astype(int) - worn).max() > 20


def test_a_second_build_finds_everything_done(built: Built) -> None:
    again = built.again()
    assert set(again.skipped) == STAGES
    assert again.metrics == built.result.metrics


def test_a_changed_number_does_only_what_depends_on_it_again(built: Built) -> None:
    longer = built.again(steps=7)
    assert longer.skipped == ("track", "synthesize", "encode")


def test_another_portrait_does_not_fit_into_this_workspace(built: Built) -> None:
    mirrored = np.ascontiguousarray(built.photograph[:, ::-1])
    request = BuildRequest(recipe=smallest(6), photograph=mirrored, workspace=built.workspace)
    with pytest.raises(WorkspaceError, match="another portrait"):
        build(request)


def test_the_workspace_is_where_the_design_says(built: Built) -> None:
    folders = {path.name for path in Path(built.workspace.location).iterdir() if path.is_dir()}
    asked = ["portrait", "prompts", "edits", "clips", "quarantine", "morphs", "checkpoints", "avatar", "report"]
    assert set(asked) <= folders
