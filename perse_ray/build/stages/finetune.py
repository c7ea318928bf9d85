"""Stage 2 of the training: interpolations, supervised by morphs that a pool makes ahead (P 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perse.training import FineTuneConfig, avatar_of, first_checkpoint, morph_pairs
from perse_ray.build.components import resources_of
from perse_ray.build.manifests import Result
from perse_ray.build.room import finetuning_claims, morph_actors
from perse_ray.build.run import BuildRun
from perse_ray.build.stages.train import checkpoint_files, trained
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.runtime.placement import await_room, node_resources
from perse_ray.training.loops import FineTuningLoop
from perse_ray.training.morph_pool import PoolSize, morph_pool
from perse_ray.training.morph_work import MorphWork

STARTED = "checkpoints/finetune.json"
"""Which ingredients, and which trained avatar, the checkpoints of this stage are made of."""


class FineTune:
    """Stage from trained avatar and morphs to the fine-tuned avatar (Eq. 13–15, 36–39)."""

    name = "finetune"
    after = ("train",)

    def __init__(self, config: FineTuneConfig, without: tuple[int, ...] = ()) -> None:
        """
        Args:
            without: rows of subjects that have no adapter and take no part.
        """
        self._config, self._without = config, without

    @staticmethod
    def wanted(run: BuildRun) -> FineTuneConfig | None:
        """Numbers of the recipe, if it has any and there is something to interpolate between."""
        return run.recipe.finetuning if morph_pairs(run.subjects) else None

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return self._config, self._without, run.recipe.morpher, fingerprint(run.recipe.morpher)

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        recipe, workspace = run.recipe, run.request.workspace
        self._begin(run)
        run.start_ray()
        await_room(finetuning_claims(recipe.cluster), recipe.cluster.placement_limit_s)
        size = PoolSize(
            actors=morph_actors(recipe.cluster, node_resources()),
            resources=resources_of(recipe.cluster.morph),
            placement_limit_s=recipe.cluster.placement_limit_s,
        )
        morphs = MorphWork(workspace=workspace, head=recipe.head, morpher=recipe.morpher)
        with morph_pool(morphs, size) as running:
            loop = FineTuningLoop(
                workspace=workspace,
                clips=run.clips,
                captured=run.captured,
                frames=recipe.filming.train_frames,
                fine_tuning=self._config,
                rasterizer=recipe.rasterizer,
                clips_mib=recipe.cluster.clips_mib,
                pool=running,
                without=self._without,
            )
            return trained(run, self.name, loop, self._config.training)

    def _begin(self, run: BuildRun) -> None:
        """The first checkpoint: the trained avatar. Left alone where this very fine-tuning has begun."""
        workspace, version = run.request.workspace, run.manifests.version(self.name, self.after)
        folder = CheckpointFolder(workspace, self.name)
        begun = workspace.has(STARTED) and workspace.read_json(STARTED).get("inputs") == version
        if not begun or folder.load() is None:
            folder.clear()
            folder.save(first_checkpoint(avatar_of(run.checkpoint("train")), self._config))
            workspace.write_json(STARTED, {"inputs": version})

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return checkpoint_files(run, self.name, int(result["step"]))
