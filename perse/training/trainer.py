"""Training step of the avatar, and the state that it changes.

::

    sample (seed, step) ─► subjects, frames
        z ─canonicalise─► once per subject ─pose─► once per frame ─rasterize─► images, alphas
        loss against the clips ─backward─► gradients ─reduce (other workers)─► Adam with the step's rates

Nothing here knows the time, Ray or MLflow. `Trainer.step` is the loop's body; the loop belongs to the caller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from perse.avatar import Avatar, CanonicalGaussians
from perse.avatar.body import relief_loss
from perse.avatar.decoder import Window
from perse.avatar.motion import FrameMotion
from perse.errors import RecipeError, TrainingDiverged
from perse.geometry import Camera
from perse.head import Joint
from perse.losses import DeformationLossConfig, IdentityLoss, decayed, deformation_loss, latent_loss
from perse.render import Rasterizer, Rendering, check_device
from perse.training.checkpoint import Checkpoint
from perse.training.clips import ClipStore, FrameBatch
from perse.training.config import EPOCHS, TrainingConfig, rate_factor
from perse.training.memory import keep_freed_memory
from perse.training.objective import ImageObjective, LossTerms
from perse.training.optimiser import Optimiser
from perse.training.point_changes import densified
from perse.training.replicas import Replicas, SingleReplica, parameter_digest
from perse.training.sampler import StepSample, curriculum_pool, sample_step
from perse.training.skipped_steps import SkippedSteps, all_finite
from perse.training.training_state import avatar_of, moments_of, training_checkpoint

logger = logging.getLogger(__name__)

_WINDOWS = 21
"""Of the parts of the pictures that are drawn, where not all is."""

_ANNOUNCED_STEPS = 3
"""Steps whose frames are decoded ahead, where clips are streamed."""


@dataclass(frozen=True)
class StepReport:
    """Report of a step, for curves.

    Attributes:
        step: its number, from 0.
        loss: the weighted total.
        l1, ssim, alpha: unweighted terms; `ssim` is 1 - SSIM.
        rate: factor on the learning rates.
        n_gaussians: points after the step.
        skipped: steps so far whose gradients were not finite, and which changed nothing.
    """

    step: int
    loss: float
    l1: float
    ssim: float
    alpha: float
    rate: float
    n_gaussians: int
    skipped: int


class Trainer:
    """Trainer of an avatar on clips.

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
        device: torch.device | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        """
        Args:
            device: where this worker trains; the avatar is moved there. None leaves it where it is.
            replicas: the workers that train together; None is this one alone.

        Raises:
            RecipeError: the clips are not the avatar's subjects, or the rasterizer cannot draw on the device.
            MissingWeightsError: a loss was asked for whose network is not here.
        """
        self.device = device or avatar.device
        check_device(rasterizer, self.device)
        if clips.keys != tuple(subject.key for subject in avatar.subjects):
            raise RecipeError("the clips' subjects are not the avatar's; create the avatar from these clips")
        self.avatar, self.clips, self.config = avatar.to(self.device), clips, config
        self.step_number = 0
        self._skipped = SkippedSteps()
        self.replicas: Replicas = replicas or SingleReplica()
        self._rasterizer = rasterizer
        self._optimiser = Optimiser(avatar.named_parameters(), config)
        if self.device.type == "cpu":
            keep_freed_memory()
        if self.device.type == "cuda":
            avatar.decoder.compile()
        self.objective = ImageObjective(config.losses).to(self.device)
        self._identity: IdentityLoss | None = None
        if config.losses.identity:
            self._identity = IdentityLoss(clips.reference_picture).to(self.device)
        self._motion: FrameMotion = avatar.skeleton(clips.motion.to(self.device))
        self._camera: Camera = clips.camera.to(self.device)

    def step(self) -> StepReport:
        """Do one step on this worker's shares of the batch."""
        if self.clips.streamed:
            self._announce()
        samples = [self.sample(share=share) for share in self.replicas.shares]
        return self.apply(self.gradients(*samples), lambda share: self._words(self.sample(share=share)))

    def _words(self, sample: StepSample) -> str:
        """What a step looks at, for people."""
        subjects = [self.avatar.subjects[row].text or "the reference" for row in sorted(set(sample.subjects))]
        return f"{', '.join(subjects)}; frames {', '.join(map(self.clips.name_of, sorted(set(sample.frames))))}"

    def _announce(self) -> None:
        """The schedule is known: frames of this step and the next ones are decoded while this one computes."""
        for step in range(self.step_number, self.step_number + 1 + _ANNOUNCED_STEPS):
            for share in self.replicas.shares:
                sample = self.sample(step, share)
                self.clips.expect(sample.subject_of_frame, sample.frames)

    def sample(self, step: int | None = None, share: int | None = None) -> StepSample:
        """Sample of a share of a step (of the next one, and the first of this worker's, by default)."""
        number = self.step_number if step is None else step
        pool = curriculum_pool(
            [subject.category for subject in self.avatar.subjects], self.config.curriculum,
            number / max(self.config.steps, 1),
        )  # fmt: skip
        return sample_step(
            self.config.seed, number, pool, self.clips.n_frames, self.config.edits_per_step,
            reference=self.clips.reference_frames,
            rank=self.replicas.shares[0] if share is None else share, world=self.replicas.n_shares,
        )  # fmt: skip

    def zero_gradients(self) -> None:
        """Forget all gradients; parameters that the next backward does not touch will have none."""
        self._optimiser.zero_gradients()

    def gradients(self, *samples: StepSample) -> LossTerms:
        """Terms of the loss after forward and backward for each of this worker's shares. Leaves gradients in the
        avatar's parameters, means over all shares of all replicas; nothing else changes."""
        losses = [partial(self._loss_of, *one) for one in zip(self.replicas.shares, samples, strict=True)]
        return self.backward(losses)

    def backward(self, losses: Sequence[Callable[[], LossTerms]]) -> LossTerms:
        """Terms of the first share's loss, without a gradient, after forward and backward of each share's loss, which
        uses this trainer's avatar; the total is the shares' mean."""
        self.zero_gradients()
        decoder, found = self.avatar.decoder, []
        decoder.begin_step(self.progress, pose_networks_from=self.config.pose_networks_from)

        def total(loss: Callable[[], LossTerms]) -> Tensor:
            terms = loss()
            found.append(replace(terms, total=terms.total.detach()))
            return terms.total

        with decoder.arithmetic():
            forwards = [partial(total, loss) for loss in losses]
            value = self.replicas.backward(self.avatar, forwards, decoder.gradient_pattern())
        return replace(found[0], total=value)

    def _loss_of(self, share: int, sample: StepSample) -> LossTerms:
        return self._loss(share, sample, self.clips.batch(sample.subject_of_frame, sample.frames).to(self.device))

    def _loss(self, share: int, sample: StepSample, target: FrameBatch) -> LossTerms:
        codes = self.avatar.subject_codes(torch.tensor(sample.subjects, device=self.device))
        canonical = self.avatar.canonicalise(codes)
        window = self.avatar.decoder.window(
            self._camera, np.random.default_rng((self.config.seed, _WINDOWS, self.step_number, share))
        )
        rendering = self.draw(canonical, sample.of_frame, sample.frames, window)
        terms = self.objective(rendering, target if window is None else target.within(window.of))
        total = terms.total + self.regularisers(codes, canonical)
        if self._identity is not None and window is None:
            total = total + self.config.losses.identity * self._identity(rendering.colors, sample.frames)
        return replace(terms, total=total)

    def draw(
        self,
        canonical: CanonicalGaussians,
        of_frame: Sequence[int],
        frames: Sequence[int],
        window: Window | None = None,
    ) -> Rendering:
        """Frames of the training motion on white: picture i shows subject of_frame[i] at frame frames[i].

        The points that close the back are left out: what is in front has to be opaque by itself, and becomes so (of
        the light behind a trained body 0.04 % come through [M]), which then hides them.
        """
        canonical = canonical.leading(self.avatar.decoder.n_in_front)
        motion = self._motion[torch.tensor(frames, device=self.device)]
        camera = self._camera if window is None else window.through(self._camera)
        subjects = torch.tensor(of_frame, device=self.device)
        return self.avatar.draw(canonical, motion, subjects, camera, self._rasterizer)

    @property
    def progress(self) -> float:
        """Share of the steps that are done, in [0, 1]."""
        return self.step_number / max(self.config.steps, 1)

    def regularisers(self, codes: Float[Tensor, "s k d"], canonical: CanonicalGaussians) -> Float[Tensor, ""]:
        """Sum of L_FLAME and L_z of Eq. 12 and the body's depth, as far as the recipe weighs them."""
        losses, total = self.config.losses, torch.zeros((), device=self.device)
        if losses.latent:
            total = total + losses.latent * latent_loss(codes)
        if losses.deformation is not None:
            weight = decayed(1.0, int(self.progress * EPOCHS))
            total = total + weight * self._deformation(canonical, losses.deformation)
        own = self.avatar.decoder.own_loss(canonical)
        if own is not None:
            total = total + own
        if losses.body and canonical.skinning.ndim == 2:
            neck = self.avatar.skeleton.joints[Joint.NECK]
            front = canonical.leading(self.avatar.decoder.n_in_front)
            total = total + losses.body * relief_loss(front.means, front.skinning, neck, self._camera)
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

    def apply(self, terms: LossTerms, words: Callable[[int], str] = "share {}".format) -> StepReport:
        """Update and advance. A step whose gradients are not finite anywhere updates nothing, on any replica.

        Args:
            words: what a share of the step looked at, should it have to be named. Every replica knows all shares'.

        Raises:
            TrainingDiverged: that happened several times in a row.
        """
        step = self.step_number
        if all_finite(terms.total, self.avatar.parameters(), self.replicas):
            self._optimiser.apply(step)
            self._skipped.done()
        else:
            self._skip(terms, words)
        self._optimiser = densified(self.avatar, self._optimiser, self.config, step, self.replicas)
        self.step_number += 1
        loss, l1, ssim, alpha = terms.numbers()
        rate = rate_factor(self.config, step)
        return StepReport(step, loss, l1, ssim, alpha, rate, self.avatar.n_gaussians, self._skipped.total)

    @property
    def is_settled(self) -> bool:
        """Whether the last step was not skipped."""
        return self._skipped.is_settled

    def _skip(self, terms: LossTerms, words: Callable[[int], str]) -> None:
        shares = self._shares_without_loss(terms)
        what = f"step {self.step_number}" + (f" of {'; '.join(map(words, shares))}" if shares else "")
        if self.replicas.rank == 0:
            logger.warning("%s is skipped: its loss or gradients are not finite", what)
        self._skipped.skip(what, "lower the learning rates, or look at these subjects' clips")

    def _shares_without_loss(self, terms: LossTerms) -> list[int]:
        """Shares, of all replicas, whose worker's loss is not finite: whoever tells of a skipped step can name them."""
        lost = torch.zeros(self.replicas.n_shares, device=self.device)
        lost[list(self.replicas.shares)] = float(not bool(torch.isfinite(terms.total)))
        return [share for share, is_lost in enumerate(self.replicas.maximum(lost).tolist()) if is_lost]

    def check_replicas(self) -> None:
        """Compare the replicas. All of them call this at the same step, before a checkpoint.

        Raises:
            StageError: their parameters differ.
            TrainingDiverged: a parameter is not finite; such an avatar is not worth keeping.
        """
        broken = [name for name, p in self.avatar.named_parameters() if not bool(torch.isfinite(p).all())]
        if broken:
            raise TrainingDiverged(f"{broken[0]} is not finite after step {self.step_number}; lower the learning rates")
        if self.replicas.world > 1:
            self.replicas.check_equal(parameter_digest(self.avatar), "parameters")

    def checkpoint(self) -> Checkpoint:
        """Checkpoint: everything that a resumed run needs to equal this one."""
        return training_checkpoint(self.avatar, self.config, self.step_number, self._optimiser.moments())

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint as if never interrupted.

        Raises:
            RecipeError: the checkpoint was made with another training configuration.
        """
        step, moments = moments_of(checkpoint, self.config)
        self.avatar = avatar_of(checkpoint).to(self.device)
        self._optimiser = Optimiser(self.avatar.named_parameters(), self.config)
        self._optimiser.restore(moments)
        self.step_number = step
