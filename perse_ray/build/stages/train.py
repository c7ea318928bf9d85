"""Stage 1 of the training, on Ray Train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perse.errors import StageError
from perse.render import check_device
from perse.training import TrainingConfig, avatar_of
from perse_ray.build.components import device_of
from perse_ray.build.manifests import Result
from perse_ray.build.run import BuildRun
from perse_ray.build.stages.set_up import SetUp
from perse_ray.build.values import flat_params
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.training.loops import TrainingLoop
from perse_ray.training.ray_train import TrainTask, train
from perse_ray.training.seam import LoopConfig


class Train:
    """Stage from the first checkpoint to the trained avatar (Eq. 11, 12, 31)."""

    name = "train"
    after = ("set_up",)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        """Values of its first checkpoint."""
        return ()

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        recipe = run.recipe
        if CheckpointFolder(run.request.workspace, self.name).load() is None:
            run.tell("train: its checkpoints are gone; it begins anew")
            SetUp().work(run)
        loop = TrainingLoop(
            workspace=run.request.workspace,
            clips=run.clips,
            captured=run.captured,
            frames=recipe.filming.train_frames,
            training=recipe.training,
            rasterizer=recipe.rasterizer,
            clips_mib=recipe.cluster.clips_mib,
        )
        return trained(run, self.name, loop, recipe.training)

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return checkpoint_files(run, self.name, int(result["step"]))


def trained(run: BuildRun, stage: str, loop: LoopConfig, numbers: TrainingConfig) -> dict[str, Any]:
    """Result of a loop that has run from the stage's newest checkpoint to its end, for the manifest."""
    check_device(run.recipe.rasterizer, device_of(run.recipe.cluster.train, run.recipe.cluster.train_workers))
    run.start_ray()
    with run.log.stage(stage) as child:
        child.params(flat_params(numbers))
        task = TrainTask(workspace=run.request.workspace, stage=stage, loop=loop, log=child)
        final = train(task, run.workers, show=run.request.show)
    return {"step": final.step, "run": child.run, "gaussians": avatar_of(final).n_gaussians}


def checkpoint_files(run: BuildRun, stage: str, step: int) -> list[str]:
    """Files of a checkpoint.

    Raises:
        StageError: there is no such checkpoint.
    """
    files = CheckpointFolder(run.request.workspace, stage).file_names(step)
    if not files:
        raise StageError(f"the checkpoint of {stage} is gone; run the same command again to make it anew")
    return files
