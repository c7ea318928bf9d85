"""Evaluation of the avatar on poses that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perse.evaluation import evaluation_pieces, summarise
from perse.evaluation.measurements import spread
from perse_ray.build.components import device_of, pool_of
from perse_ray.build.manifests import Result
from perse_ray.build.measuring import MeasureWork, collect, measurement_file, measuring_rows
from perse_ray.build.run import BuildRun
from perse_ray.build.values import all_numbers_of, evaluation_to_json, numbers_of, without_nan
from perse_ray.build.worker_rows import run_rows
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.stage import Row


class Evaluate:
    """Stage from the checkpoint of a training to numbers."""

    def __init__(self, name: str, training: str) -> None:
        self.name, self.after = name, (training,)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return run.recipe.evaluation, fingerprint(run.recipe.evaluation), run.recipe.morpher

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        recipe, workspace, pool = run.recipe, run.request.workspace, run.recipe.cluster.evaluate
        (training,) = self.after
        rows = self._rows(run)
        work = MeasureWork(
            workspace=workspace,
            recipe=recipe,
            clips=run.clips,
            stage=training,
            device=device_of(pool, pool.workers[1]).type,
            captured=run.captured,
        )
        stage = pool_of(pool).stage("evaluate", work, ("piece",), (("measured", False),))
        missing = [row for row in rows if not workspace.has(measurement_file(str(row["key"])))]
        run.tell(f"{self.name}: measuring")
        if missing:
            run_rows(run, missing, stage, pool)
        found = collect(workspace, rows)
        report = summarise(
            found.measured,
            recipe.evaluation,
            found.distances,
            n_frames=len(spread(len(recipe.filming.test_frames), recipe.evaluation.frames)),
            n_gaussians=int(run.results[training]["gaussians"]),
        )
        values = {**evaluation_to_json(report), "likeness": found.face, "view_sweep": found.sweep}
        if found.video is not None:
            values["video"] = without_nan(found.video)
        with run.log.stage(self.name) as child:
            child.metrics(numbers_of(values) | all_numbers_of({"video": values.get("video") or {}}))
        return values

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return [measurement_file(str(row["key"])) for row in self._rows(run)]

    def _rows(self, run: BuildRun) -> list[Row]:
        pieces = evaluation_pieces(run.subjects, run.recipe.evaluation)
        version = run.manifests.version(self.name, self.after)
        return measuring_rows(version, pieces, video=run.captured is not None)
