"""Stage of the adapters, one a subject, for a teacher that needs them (DiffMorpher, P A.2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perse.morphing import SubjectLoraConfig
from perse.morphing.diffusion.adapters import adapter_file
from perse.training import morph_pairs
from perse_ray.build.components import pool_of
from perse_ray.build.manifests import Result
from perse_ray.build.room import claim_of
from perse_ray.build.run import BuildRun
from perse_ray.rows import on_ray_data
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.runtime.placement import await_room
from perse_ray.synthesis.subject_adapters import AdapterWork, train_adapters


class Adapt:
    """Stage from clips of the subjects that are interpolated to adapters/."""

    name = "adapt"
    after = ("set_up",)

    def __init__(self, lora: SubjectLoraConfig) -> None:
        self._lora = lora

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return self._lora, fingerprint(self._lora), run.recipe.filming.train_frames

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        run.start_ray()
        cluster = run.recipe.cluster
        await_room([claim_of(cluster.adapt, "adapter trainers")], cluster.placement_limit_s)
        paired = sorted({row for pair in morph_pairs(run.subjects) for row in pair})
        work = AdapterWork(workspace=run.request.workspace, lora=self._lora, frames=run.recipe.filming.train_frames)
        with run.log.stage(self.name) as child:
            found = train_adapters(
                work,
                {run.subjects[row].key: run.clips[row] for row in paired},
                pool_of(cluster.adapt),
                execute=on_ray_data.run,
                show=run.request.show,
            )
            child.metrics({"adapters": len(found.ready), "quarantined": len(found.quarantined)})
        ready = set(found.ready)
        return {
            "files": [adapter_file(self._lora.key(clip)) for clip in found.ready],
            "without": [row for row in paired if run.clips[row] not in ready],
        }

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return list(result["files"])
