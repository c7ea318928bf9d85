"""One training step, and the state that it changes.

::

    sample (seed, step) ─► subjects, frames
        z ─canonicalise─► once per subject ─pose─► once per frame ─rasterize─► images, alphas
        loss against the clips ─backward─► gradients ─reduce (other workers)─► Adam with the step's rates

Nothing here knows the time, Ray or MLflow. `Trainer.step` is the loop's body; the loop belongs to the caller.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from perse.avatar import Avatar
from perse.avatar.motion import FrameMotion
from perse.avatar.storage import avatar_tensors, describe, restore
from perse.errors import RecipeError
from perse.geometry import Camera
from perse.render import Rasterizer, Rendering, rasterize
from perse.training.checkpoint import Checkpoint
from perse.training.clips import ClipStore
from perse.training.config import TrainingConfig, rate_factor
from perse.training.objective import LossTerms, image_terms
from perse.training.optimiser import Optimiser
from perse.training.sampler import StepSample, curriculum_pool, sample_step

GradientReduction = Callable[[Sequence[nn.Parameter]], None]
"""Called between backward and update; `reduction.average_gradients` in a distributed run."""


@dataclass(frozen=True)
class StepReport:
    """What a step did, for curves.

    Attributes:
        step: its number, from 0.
        loss: the weighted total.
        l1, ssim, alpha: unweighted terms.
        rate: factor on the learning rates.
        n_gaussians: points after the step.
    """

    step: int
    loss: float
    l1: float
    ssim: float
    alpha: float
    rate: float
    n_gaussians: int


class Trainer:
    """Trains an avatar on clips.

    Attributes:
        avatar: the one that is trained; densification may replace its points.
        clips: training frames; its subjects are the rows of the avatar's table.
        step_number: number of the next step, which is the number of finished ones.
    """

    def __init__(
        self,
        avatar: Avatar,
        clips: ClipStore,
        config: TrainingConfig,
        *,
        rasterizer: Rasterizer,
        rank: int = 0,
        world: int = 1,
        reduce_gradients: GradientReduction | None = None,
    ) -> None:
        """
        Raises:
            RecipeError: the clips are not the avatar's subjects, or a loss was asked for that needs missing parts.
        """
        if clips.keys != tuple(subject.key for subject in avatar.subjects):
            raise RecipeError("the clips' subjects are not the avatar's; create the avatar from these clips")
        if config.losses.identity:
            raise RecipeError(
                "the identity-consistency loss needs a differentiable face embedder and none is installed; "
                "set losses.identity to 0"
            )
        self.avatar, self.clips, self.config = avatar, clips, config
        self.step_number = 0
        self._rasterizer, self._rank, self._world, self._reduce = rasterizer, rank, world, reduce_gradients
        self._optimiser = Optimiser(avatar.named_parameters(), config)
        device = avatar.features_categories.device
        self._motion: FrameMotion = avatar.skeleton(clips.parameters)
        self._camera: Camera = clips.camera.to(device)
        self._white = torch.ones(3, device=device)

    def step(self) -> StepReport:
        """One step on this worker's sample."""
        terms = self.gradients(self.sample())
        return self.apply(terms)

    def sample(self, step: int | None = None) -> StepSample:
        """What a step looks at (the next one by default)."""
        number = self.step_number if step is None else step
        pool = curriculum_pool(
            [subject.category for subject in self.avatar.subjects], self.config.curriculum,
            number / max(self.config.steps, 1),
        )  # fmt: skip
        return sample_step(
            self.config.seed, number, pool, self.clips.n_frames, self.config.edits_per_step,
            rank=self._rank, world=self._world,
        )  # fmt: skip

    def gradients(self, sample: StepSample) -> LossTerms:
        """Forward and backward: leaves gradients in the avatar's parameters, nothing else changes."""
        self._optimiser.zero_gradients()
        codes = self.avatar.subject_codes(torch.tensor(sample.subjects, device=self._white.device))
        rendering = self.render(codes, sample.of_frame, sample.frames)
        target = self.clips.batch(sample.subject_of_frame, sample.frames)
        terms = image_terms(rendering, target, self.config.losses)
        total = terms.total
        if self.config.losses.latent:
            total = total + self.config.losses.latent * (codes - self.avatar.latents.reference).square().mean()
        total.backward()
        return terms

    def render(self, codes: Tensor, of_frame: Sequence[int], frames: Sequence[int]) -> Rendering:
        """Frames of the training motion on white: codes [s, k, d], frame i of subject of_frame[i] at frames[i]."""
        device = self._white.device
        canonical = self.avatar.canonicalise(codes)
        gaussians = self.avatar.pose(
            canonical, self._motion[torch.tensor(frames, device=device)], torch.tensor(of_frame, device=device)
        )
        return rasterize(gaussians, self._camera, background=self._white, rasterizer=self._rasterizer)

    def apply(self, terms: LossTerms) -> StepReport:
        """Reduce gradients over workers, update, advance."""
        if self._reduce is not None:
            self._reduce([p for p in self.avatar.parameters() if p.numel()])
        self._optimiser.apply(self.step_number)
        report = StepReport(
            self.step_number, float(terms.total.detach()), terms.l1, terms.ssim, terms.alpha,
            rate_factor(self.config, self.step_number), self.avatar.n_gaussians,
        )  # fmt: skip
        self.step_number += 1
        return report

    def checkpoint(self) -> Checkpoint:
        """Everything that a resumed run needs to equal this one."""
        state = {"step": self.step_number, "config": asdict(self.config)}
        return Checkpoint(
            self.step_number,
            {
                "avatar.safetensors": avatar_tensors(self.avatar),
                "avatar.json": json.dumps(describe(self.avatar), sort_keys=True).encode(),
                "optimiser.safetensors": save(self._optimiser.moments()),
                "state.json": json.dumps(state, sort_keys=True).encode(),
            },
        )

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint as if never interrupted.

        Raises:
            RecipeError: the checkpoint was made with another training configuration.
        """
        files: Mapping[str, bytes] = checkpoint.files
        state = json.loads(files["state.json"])
        if state["config"] != json.loads(json.dumps(asdict(self.config))):
            raise RecipeError(
                "the checkpoint was made with another training configuration; resume with the same one, or start "
                "in a new workspace"
            )
        device = self._white.device
        self.avatar = restore(json.loads(files["avatar.json"]), load(files["avatar.safetensors"])).to(device)
        self._optimiser = Optimiser(self.avatar.named_parameters(), self.config)
        self._optimiser.restore(load(files["optimiser.safetensors"]))
        self.step_number = int(state["step"])
