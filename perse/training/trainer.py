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
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from perse.avatar import Avatar, CanonicalGaussians
from perse.avatar.densification import carried_moments, plan_growth, plan_prune
from perse.avatar.motion import FrameMotion
from perse.avatar.storage import avatar_tensors, describe, restore
from perse.data.keys import content_key
from perse.errors import RecipeError
from perse.geometry import Camera
from perse.losses import DeformationLossConfig, decayed, deformation_loss, latent_loss
from perse.render import Rasterizer, Rendering, rasterize
from perse.training.checkpoint import Checkpoint
from perse.training.clips import ClipStore
from perse.training.config import EPOCHS, TrainingConfig, rate_factor
from perse.training.memory import keep_freed_memory
from perse.training.objective import ImageObjective, LossTerms
from perse.training.optimiser import Optimiser
from perse.training.sampler import StepSample, curriculum_pool, sample_step

_DENSIFICATION = 20
"""Stream of random numbers, apart from the sampler's."""

_ANNOUNCED_STEPS = 3
"""Steps whose frames are decoded ahead, where clips are streamed."""

GradientReduction = Callable[[Sequence[nn.Parameter]], None]
"""Called between backward and update; `reduction.average_gradients` in a distributed run."""


@dataclass(frozen=True)
class StepReport:
    """What a step did, for curves.

    Attributes:
        step: its number, from 0.
        loss: the weighted total.
        l1, ssim, alpha: unweighted terms; `ssim` is 1 - SSIM.
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
        device: where everything lives.
        objective: the image losses.
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
        self.device = avatar.features_categories.device
        if self.device.type == "cpu":
            keep_freed_memory()
        if self.device.type == "cuda":
            avatar.decoder.compile()
        self.objective = ImageObjective(config.losses).to(self.device)
        self._motion: FrameMotion = avatar.skeleton(clips.parameters)
        self._camera: Camera = clips.camera.to(self.device)
        self._white = torch.ones(3, device=self.device)

    def step(self) -> StepReport:
        """One step on this worker's sample."""
        if self.clips.streamed:
            self._announce()
        terms = self.gradients(self.sample())
        return self.apply(terms)

    def _announce(self) -> None:
        """The schedule is known: frames of this step and the next ones are decoded while this one computes."""
        for step in range(self.step_number, self.step_number + 1 + _ANNOUNCED_STEPS):
            sample = self.sample(step)
            self.clips.expect(sample.subject_of_frame, sample.frames)

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

    def zero_gradients(self) -> None:
        """Forget all gradients; parameters that the next backward does not touch will have none."""
        self._optimiser.zero_gradients()

    def gradients(self, sample: StepSample) -> LossTerms:
        """Forward and backward: leaves gradients in the avatar's parameters, nothing else changes."""
        with self.avatar.decoder.arithmetic():
            return self._gradients(sample)

    def _gradients(self, sample: StepSample) -> LossTerms:
        self.zero_gradients()
        target = self.clips.batch(sample.subject_of_frame, sample.frames).to(self.device)
        codes = self.avatar.subject_codes(torch.tensor(sample.subjects, device=self.device))
        canonical = self.avatar.canonicalise(codes)
        rendering = self.draw(canonical, sample.of_frame, sample.frames)
        terms = self.objective(rendering, target)
        total = terms.total + self._regularisers(codes, canonical)
        total.backward()
        return LossTerms(total.detach(), terms.l1, terms.ssim, terms.alpha)

    def draw(self, canonical: CanonicalGaussians, of_frame: Sequence[int], frames: Sequence[int]) -> Rendering:
        """Frames of the training motion on white: picture i shows subject of_frame[i] at frame frames[i]."""
        self.avatar.decoder.begin_step(self.progress, pose_networks_from=self.config.pose_networks_from)
        motion = self._motion[torch.tensor(frames, device=self.device)]
        gaussians = self.avatar.pose(canonical, motion, torch.tensor(of_frame, device=self.device))
        return rasterize(gaussians, self._camera, background=self._white, rasterizer=self._rasterizer)

    @property
    def progress(self) -> float:
        """Share of the steps that are done, in [0, 1]."""
        return self.step_number / max(self.config.steps, 1)

    def _regularisers(self, codes: Tensor, canonical: CanonicalGaussians) -> Tensor:
        """Eq. 12 and the latents' term, as far as the recipe weighs them."""
        losses, total = self.config.losses, torch.zeros((), device=self.device)
        if losses.latent:
            total = total + losses.latent * latent_loss(codes)
        if losses.deformation is not None:
            weight = decayed(1.0, int(self.progress * EPOCHS))
            total = total + weight * self._deformation(canonical, losses.deformation)
        return total

    def _deformation(self, canonical: CanonicalGaussians, config: DeformationLossConfig) -> Tensor:
        """Eq. 31 over all subjects of the step."""
        learned, e = self.avatar.decoder.learned_deformation(canonical), self.avatar.skeleton.n_expression
        if learned is None:
            return torch.zeros((), device=self.device)
        return deformation_loss(
            learned.basis[..., :e], learned.basis[..., e:], learned.skinning,
            head_expression_basis=learned.head_basis[..., :e], head_pose_basis=learned.head_basis[..., e:],
            head_skinning_weights=learned.head_skinning, config=config,
        )  # fmt: skip

    def apply(self, terms: LossTerms) -> StepReport:
        """Reduce gradients over workers, update, advance."""
        if self._reduce is not None:
            self._reduce([p for p in self.avatar.parameters() if p.numel()])
        self._optimiser.apply(self.step_number)
        self._densify()
        report = StepReport(
            self.step_number, float(terms.total), terms.l1, terms.ssim, terms.alpha,
            rate_factor(self.config, self.step_number), self.avatar.n_gaussians,
        )  # fmt: skip
        self.step_number += 1
        return report

    def _densify(self) -> None:
        """The event that is due after this step, if any. Adam's moments go with the points."""
        config, decoder = self.config.densification, self.avatar.decoder
        if config is None or not decoder.point_tensors():
            return
        period = max(1, round(config.every * self.config.steps))
        done = self.step_number + 1
        if done % period or done > config.until * self.config.steps:
            return
        rng = np.random.default_rng((self.config.seed, _DENSIFICATION, self.step_number))
        if len(decoder) < config.target:
            plan = plan_growth(len(decoder), min(config.target, round(config.grow_factor * len(decoder))), rng)
        else:
            decoder.shrink_scales(config.shrink)
            plan = plan_prune(self._largest_opacities(rng), config.prune_opacity, config.target, rng)
        moments = carried_moments(self._optimiser.moments(), "decoder.", tuple(decoder.point_tensors()), plan)
        decoder.replace_points(plan, config.radius_m, rng)
        self._optimiser = Optimiser(self.avatar.named_parameters(), self.config)
        self._optimiser.restore(moments)

    @torch.no_grad()
    def _largest_opacities(self, rng: np.random.Generator, subjects: int = 16) -> Tensor:
        """Opacity [n] of every point in the subject, of a few, that needs it most."""
        rows = rng.permutation(len(self.avatar.subjects))[:subjects]
        logits = [
            self.avatar.canonicalise(self.avatar.subject_codes(torch.tensor([row], device=self.device))).opacity_logits
            for row in rows.tolist()
        ]
        return torch.sigmoid(torch.cat(logits)).amax(0).cpu()

    def checkpoint(self) -> Checkpoint:
        """Everything that a resumed run needs to equal this one."""
        state = {"step": self.step_number, "config": content_key(self.config)}
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
        if state["config"] != content_key(self.config):
            raise RecipeError(
                "the checkpoint was made with another training configuration; resume with the same one, or start "
                "in a new workspace"
            )
        self.avatar = restore(json.loads(files["avatar.json"]), load(files["avatar.safetensors"])).to(self.device)
        self._optimiser = Optimiser(self.avatar.named_parameters(), self.config)
        self._optimiser.restore(load(files["optimiser.safetensors"]))
        self.step_number = int(state["step"])
