"""Training the body avatar as a `LoopConfig`: a small value that is built where it runs."""

from __future__ import annotations

from dataclasses import dataclass

from perse.body.animation.clip import BodyClip
from perse.body.showing.measuring import trained_on
from perse.body.training import BodyTrainer
from perse.body.training.frames import TargetFrame, frame_of
from perse.body.training.sampler import training_steps
from perse.body.training.trainer import trained_avatar
from perse.data.workspace import Workspace
from perse.recipes.body import BodyRecipe
from perse.training.checkpoint import Checkpoint
from perse_ray.training.seam import WorkerPlace

CAPTURED = "body/captured.npz"
"""The photograph as a clip of one frame."""


def patch_file(number: int) -> str:
    """Name of the file of a close look at the photograph, as a clip of one frame."""
    return f"body/patch-{number}.npz"


@dataclass(frozen=True, kw_only=True)
class BodyLoop:
    """Training of the body avatar on the captured frame and the generated ones."""

    workspace: Workspace
    """Where clips are."""
    recipe: BodyRecipe
    """The numbers."""
    clips: tuple[str, ...]
    """Files of the filmed motions."""
    patches: int
    """How many close looks at the photograph there are."""

    @property
    def steps(self) -> int:
        every = self.recipe.held_out_every
        frames = sum(filmed.frames - filmed.frames // every for filmed in self.recipe.motions)
        return training_steps(self.recipe.training.epochs, frames, max(self.recipe.train_workers, 1))

    def build(self, start: Checkpoint, place: WorkerPlace) -> BodyTrainer:
        """Training, continued from a checkpoint.

        Raises:
            RecipeError: the checkpoint was made with another configuration.
        """
        clips = [BodyClip.from_bytes(self.workspace.read(name)) for name in self.clips]
        trainer = BodyTrainer(
            trained_avatar(start),
            self._frame(CAPTURED),
            [frame for clip in clips for frame in trained_on(clip, self.recipe.held_out_every)],
            self.recipe.training,
            rasterizer=self.recipe.rasterizer,
            patches=[self._frame(patch_file(number)) for number in range(self.patches)],
            device=place.device,
            replicas=place.replicas,
        )
        trainer.resume(start)
        return trainer

    def _frame(self, name: str) -> TargetFrame:
        return frame_of(BodyClip.from_bytes(self.workspace.read(name)), 0, generated=False)
