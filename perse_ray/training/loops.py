"""Loops of the avatar's training: small values that are built where they run."""

from __future__ import annotations

from dataclasses import dataclass

from perse.data.workspace import Workspace
from perse.recipes import ClusterUse
from perse.render import Rasterizer
from perse.training import Checkpoint, FineTuneConfig, FineTuner, StepReport, Trainer, TrainingConfig, avatar_of
from perse_ray.training.clips import captured_frames, load_clips, training_frames
from perse_ray.training.morph_pool import MorphPool
from perse_ray.training.pooled_morphs import PooledMorphs
from perse_ray.training.seam import WorkerPlace


@dataclass(frozen=True, kw_only=True)
class OnClips:
    """Common parts of both stages of the training."""

    workspace: Workspace
    """Where clips and morphs are."""

    clips: tuple[str, ...]
    """Content keys of the clips, in the order of the avatar's subjects."""

    frames: tuple[int, ...]
    """Frame numbers to train on."""

    rasterizer: Rasterizer
    """What draws."""

    captured: str | None = None
    """Content key of the clip of the person's own video."""

    clips_mib: int = ClusterUse().clips_mib
    """Decoded frames that a worker keeps."""

    def trainer(self, start: Checkpoint, training: TrainingConfig, place: WorkerPlace) -> Trainer:
        """A trainer that goes on from a checkpoint.

        Raises:
            RecipeError: the checkpoint was made with another configuration.
        """
        clips = training_frames(load_clips(self.workspace, self.clips, self.clips_mib), self.frames)
        if self.captured is not None:
            clips = clips.with_captured(captured_frames(self.workspace, self.captured, self.frames)[0])
        trainer = Trainer(
            avatar_of(start), clips, training, rasterizer=self.rasterizer, device=place.device, replicas=place.replicas
        )
        trainer.resume(start)
        return trainer


@dataclass(frozen=True, kw_only=True)
class TrainingLoop(OnClips):
    """Training of stage 1: the avatar on its clips."""

    training: TrainingConfig
    """The recipe's numbers."""

    @property
    def steps(self) -> int:
        return self.training.steps

    def build(self, start: Checkpoint, place: WorkerPlace) -> Training:
        """Training, continued from a checkpoint.

        Raises:
            RecipeError: the checkpoint was made with another configuration.
        """
        return Training(self.trainer(start, self.training, place))


class Training:
    """A training in progress."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    @property
    def step_number(self) -> int:
        return self.trainer.step_number

    @property
    def is_settled(self) -> bool:
        return self.trainer.is_settled

    def step(self) -> StepReport:
        return self.trainer.step()

    def checkpoint(self) -> Checkpoint:
        return self.trainer.checkpoint()

    def check_replicas(self) -> None:
        self.trainer.check_replicas()

    def close(self) -> None:
        """Do nothing: it holds nothing."""


@dataclass(frozen=True, kw_only=True)
class FineTuningLoop(OnClips):
    """Training of stage 2: the trained avatar on interpolations, with morph actors working ahead."""

    fine_tuning: FineTuneConfig
    """The recipe's numbers."""

    pool: MorphPool
    """Who makes the morphs."""

    without: tuple[int, ...] = ()
    """Rows of subjects that the teacher knows nothing about and that take no part."""

    @property
    def steps(self) -> int:
        return self.fine_tuning.training.steps

    def build(self, start: Checkpoint, place: WorkerPlace) -> FineTuning:
        """Fine-tuning, continued from a checkpoint.

        Raises:
            RecipeError: the checkpoint was made with another configuration.
        """
        trainer = self.trainer(start, self.fine_tuning.training, place)
        source = PooledMorphs(self.pool, self.workspace, self.clips, trainer.clips, self.steps)
        return FineTuning(FineTuner(trainer, source, self.fine_tuning, without=self.without), source, self.pool.gpus)


@dataclass(frozen=True)
class FineTuneReport(StepReport):
    """Report of a step, and how the pool kept up.

    Attributes:
        waited_s: seconds that this step stood still for its morph.
        morphs_found: share of morphs that lay in the cache, so far.
        morph_retries, morphs_given_up: counts so far.
        morphs_under_way: requests of this worker that are not answered yet.
        morph_s: seconds of an actor for one morph that it computed, on average so far.
        morph_gpu_s: the same of a GPU.
        morph_unet_calls, morph_unet_rows: calls of a UNet for one morph that was computed, and pictures in them, on
            average so far, what its ends took included; 0 with a teacher that has no UNet.
        morph_ends_found: share of those morphs' ends that an actor remembered, so far.
    """

    waited_s: float
    morphs_found: float
    morph_retries: int
    morphs_given_up: int
    morphs_under_way: int
    morph_s: float
    morph_gpu_s: float
    morph_unet_calls: float
    morph_unet_rows: float
    morph_ends_found: float


class FineTuning:
    """A fine-tuning in progress, with its pool."""

    def __init__(self, tuner: FineTuner, source: PooledMorphs, gpus: float) -> None:
        self._tuner, self._source, self._gpus = tuner, source, gpus
        source.serve(tuner)

    @property
    def step_number(self) -> int:
        return self._tuner.trainer.step_number

    @property
    def is_settled(self) -> bool:
        return self._tuner.trainer.is_settled

    def step(self) -> FineTuneReport:
        self._announce()
        before = self._source.stats.waited_s
        report = self._tuner.step()
        stats = self._source.stats
        return FineTuneReport(
            **vars(report),
            waited_s=stats.waited_s - before,
            morphs_found=stats.found / max(stats.found + stats.made, 1),
            morph_retries=stats.retries,
            morphs_given_up=stats.given_up,
            morphs_under_way=stats.under_way,
            morph_s=stats.made_s / max(stats.made, 1),
            morph_gpu_s=self._gpus * stats.made_s / max(stats.made, 1),
            morph_unet_calls=stats.unet_calls / max(stats.made, 1),
            morph_unet_rows=stats.unet_rows / max(stats.made, 1),
            morph_ends_found=stats.ends_found / max(stats.ends_found + stats.ends_made, 1),
        )

    def _announce(self) -> None:
        """Frames of this step and the next: streamed ones are decoded while this one computes."""
        step, clips = self._tuner.trainer.step_number, self._tuner.trainer.clips
        for number in (step, step + 1) if clips.streamed else ():
            for request in self._tuner.requests(number):
                clips.expect((0, request.first, request.second), [request.frame] * 3)

    def checkpoint(self) -> Checkpoint:
        return self._tuner.trainer.checkpoint()

    def check_replicas(self) -> None:
        self._tuner.trainer.check_replicas()

    def close(self) -> None:
        self._source.close()
