"""Stage of the edits and their clips, on Ray Data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from perse.data.archive import PROMPTS
from perse.data.tables import row_to_prompt
from perse_ray.build.balance import balanced
from perse_ray.build.manifests import Result
from perse_ray.build.plan import synthesis_balance
from perse_ray.build.room import synthesis_claims
from perse_ray.build.run import BuildRun
from perse_ray.build.values import synthesis_to_json
from perse_ray.rows import on_ray_data
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.runtime.placement import await_room, node_resources
from perse_ray.runtime.session import is_private
from perse_ray.synthesis.stages import SynthesisConfig
from perse_ray.synthesis.synthesize import synthesize


class Synthesize:
    """Stage from prompts to edits/, clips/, quarantine/."""

    name = "synthesize"
    after = ("track",)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        config = run.synthesis_config
        makers = (config.head, config.editor, config.screen, config.animator, config.filming)
        return run.supply, makers, fingerprint(*makers)

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        run.start_ray()
        cluster = run.recipe.cluster
        await_room(synthesis_claims(cluster), cluster.placement_limit_s)
        config = run.synthesis_config if is_private() else _sized(run)
        with run.log.stage(self.name) as stage:
            found = synthesize(
                run.request.workspace,
                config,
                run.supply,
                execute=on_ray_data.run,
                show=run.request.show,
                quarantine_share=run.recipe.quarantine_share,
            )
            stage.metrics(
                {
                    "subjects": len(found.subjects),
                    "rejected": len(found.rejected),
                    "quarantined": len(found.quarantined),
                    "shortfall": sum(count for _, count in found.shortfall),
                }
            )
        return synthesis_to_json(found)

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        """Files that the rows left, of those too that came to nothing."""
        judged = [*result["subjects"], *result["rejected"]]
        rows = [run.synthesis_config.row(run.portrait.key, row_to_prompt(one["prompt"])) for one in judged]
        clips = [result["reference"], *(subject["clip"] for subject in result["subjects"])]
        names = [
            *(f"edits/{row['edit']}" for row in rows),
            *(f"edits/verdicts/{row['verdict']}" for row in rows),
            *(f"clips/{clip}" for clip in clips),
            *(f"quarantine/{row['key']}" for row in result["quarantined"]),
        ]
        return [PROMPTS, *(f"{name}.parquet" for name in names)]


def _sized(run: BuildRun) -> SynthesisConfig:
    """The configuration that begins with as many workers as the cluster has room for, in proportion to their times."""
    sizes = balanced(synthesis_balance(run.recipe), node_resources())
    config = run.synthesis_config
    return replace(
        config,
        edit_pool=replace(config.edit_pool, first_workers=sizes["edit"]),
        screen_pool=replace(config.screen_pool, first_workers=sizes["screen"]),
        animate_pool=replace(config.animate_pool, first_workers=sizes["animate"]),
    )
