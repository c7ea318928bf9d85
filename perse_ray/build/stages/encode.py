"""Stage of the features f_I and f_T of every subject (Eq. 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perse_ray.build.components import pool_of
from perse_ray.build.features import EncodeWork, encode_rows, feature_file
from perse_ray.build.manifests import Result
from perse_ray.build.run import BuildRun
from perse_ray.build.worker_rows import run_rows
from perse_ray.rows.fingerprint import fingerprint


class Encode:
    """Stage from edits to features/: a small file for each subject."""

    name = "encode"
    after = ("synthesize",)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return run.recipe.encoder, fingerprint(run.recipe.encoder), [subject.text for subject in run.subjects]

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        digest = self._digest(run)
        rows = encode_rows(digest, run.subjects)
        missing = [row for row in rows if not run.request.workspace.has(feature_file(str(row["key"])))]
        if missing:
            pool = run.recipe.cluster.encode
            work = EncodeWork(workspace=run.request.workspace, encoder=run.recipe.encoder)
            stage = pool_of(pool).stage("encode", work, ("subject", "text"), (("encoded", False),))
            run_rows(run, missing, stage, pool)
        return {"files": [feature_file(str(row["key"])) for row in rows]}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return list(result["files"])

    def _digest(self, run: BuildRun) -> str:
        return run.manifests.digest(self.name, (), *self.ingredients(run)[:2])
