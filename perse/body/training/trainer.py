"""Training step of the body avatar, and the state that it changes.

Nothing here knows the time, Ray or MLflow: the loop belongs to the caller (`perse_ray.training.ray_train`).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from perse.body.avatar import BodyAvatar, avatar_from_files, avatar_to_files
from perse.body.training.config import BodyTrainingConfig
from perse.body.training.frames import TargetFrame
from perse.body.training.objective import FrameLoss, frame_loss, patch_loss
from perse.body.training.sampler import BodySample, sample_frames, training_steps
from perse.body.training.smoothness import Smoothness
from perse.errors import RecipeError
from perse.render import Rasterizer, check_device
from perse.training.checkpoint import Checkpoint
from perse.training.memory import keep_freed_memory
from perse.training.replicas import Replicas, SingleReplica, parameter_digest
from perse.training.skipped_steps import SkippedSteps, all_finite

logger = logging.getLogger(__name__)

_BACKGROUNDS = 41
"""Stream of random numbers, apart from the sampler's."""
MOMENTS, NUMBERS = "moments.safetensors", "training.json"
FAST = ("log_scales", "colors", "auxiliary")


@dataclass(frozen=True)
class BodyStepReport:
    """Report of a step, for curves.

    Attributes:
        step: its number, from 0.
        loss: the weighted total.
        l1, ssim: of the un-offset asset's picture; `ssim` is 1 − SSIM.
        mask: mean absolute difference of silhouettes, hands weighted.
        geometry: depth, normals and parts, weighted.
        rate: factor on the learning rates.
        skipped: steps so far whose gradients were not finite, and which changed nothing.
    """

    step: int
    loss: float
    l1: float
    ssim: float
    mask: float
    geometry: float
    rate: float
    skipped: int


class BodyTrainer:
    """Trainer of a body avatar on the captured frame and generated ones."""

    def __init__(
        self,
        avatar: BodyAvatar,
        captured: TargetFrame,
        generated: Sequence[TargetFrame],
        config: BodyTrainingConfig,
        *,
        rasterizer: Rasterizer,
        patches: Sequence[TargetFrame] = (),
        device: torch.device | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        """
        Args:
            patches: close looks at the captured frame; the first (the face) is looked at every other time.

        Raises:
            RecipeError: there are no generated frames, or the rasterizer cannot draw on the device.
        """
        if not generated:
            raise RecipeError("a body avatar is trained on generated frames and there are none; film some motions")
        self.device = device or torch.device("cpu")
        check_device(rasterizer, self.device)
        self.avatar = avatar.on(self.device)
        self.replicas: Replicas = replicas or SingleReplica()
        self.config = config
        self.step_number = 0
        self.steps = training_steps(config.epochs, len(generated), self.replicas.world)
        self._captured = captured.to(self.device)
        self._generated = list(generated)
        self._patches = [patch.to(self.device) for patch in patches]
        self._rasterizer = rasterizer
        self._smoothness = Smoothness(self.avatar, config.losses)
        self._skipped = SkippedSteps()
        if self.device.type == "cpu":
            keep_freed_memory()
        factors = {"moved": config.places} | dict.fromkeys(FAST, config.fast)
        self._optimiser = torch.optim.Adam(
            [
                {
                    "params": [p],
                    "factor": factors.get(name, 1.0),
                    "eps": config.color_epsilon if name in FAST else 1e-8,
                }
                for name, p in self.avatar.named_parameters()
            ],
            lr=config.rate,
        )

    def step(self) -> BodyStepReport:
        """Do one step on this worker's sample.

        Raises:
            TrainingDiverged: several steps in a row had gradients that are not finite.
        """
        sample = sample_frames(
            self.config.seed, self.step_number, len(self._generated), balanced=self.config.balanced,
            rank=self.replicas.rank, world=self.replicas.world,
        )  # fmt: skip
        self._optimiser.zero_grad(set_to_none=True)
        found: list[FrameLoss] = []

        def total() -> Tensor:
            losses = [self._loss(target) for target in self._targets(sample)]
            found.extend(one for one, _ in losses)
            return torch.stack([one.total + beside for one, beside in losses]).mean()

        loss = self.replicas.backward(self.avatar, [total], None)
        rate = self._rate()
        if all_finite(loss, self.avatar.parameters(), self.replicas):
            for group in self._optimiser.param_groups:
                group["lr"] = self.config.rate * group["factor"] * rate
            self._optimiser.step()
            self._skipped.done()
        else:
            what = f"step {self.step_number} ({sample})"
            logger.warning("%s is skipped: its loss or gradients are not finite", what)
            self._skipped.skip(what, "lower the learning rate")
        report = BodyStepReport(
            self.step_number, float(loss), _mean(found, "l1"), _mean(found, "ssim"), _mean(found, "mask"),
            _mean(found, "geometry"), rate, self._skipped.total,
        )  # fmt: skip
        self.step_number += 1
        return report

    def _targets(self, sample: BodySample) -> list[TargetFrame]:
        chosen = [self._captured] if sample.captured else []
        return chosen if sample.generated is None else [*chosen, self._generated[sample.generated].to(self.device)]

    def _loss(self, target: TargetFrame) -> tuple[FrameLoss, Tensor]:
        """A frame's loss, and what is added to it: how rough the surface is, and a close look at the captured frame."""
        config, background = self.config.losses, self._background()
        posed = self.avatar.pose(target.pose[None], target.translation[None])
        beside = self._smoothness(self.avatar, posed)
        if not target.generated and self._patches:
            turn = self.step_number
            patch = self._patches[0 if turn % 2 == 0 else (turn // 2) % len(self._patches)]
            beside = beside + patch_loss(self.avatar, posed, patch, config, self._rasterizer, background)
        return frame_loss(self.avatar, posed, target, config, self._rasterizer, background), beside

    def _background(self) -> Tensor:
        """This step's colour behind avatar and targets, [3]."""
        rng = np.random.default_rng((self.config.seed, _BACKGROUNDS, self.step_number, self.replicas.rank))
        return torch.from_numpy(rng.uniform(0, 1, 3).astype(np.float32)).to(self.device)

    def _rate(self) -> float:
        progress = self.step_number / max(self.steps, 1)
        return self.config.final_rate + (1 - self.config.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))

    @property
    def is_settled(self) -> bool:
        """Whether the last step was not skipped."""
        return self._skipped.is_settled

    # State

    def checkpoint(self) -> Checkpoint:
        """Checkpoint: everything that the next step depends on."""
        moments: dict[str, Tensor] = {}
        for name, parameter in self.avatar.named_parameters():
            state = self._optimiser.state.get(parameter, {})
            if state:
                moments |= {f"{name}.{key}": state[key].detach().cpu().clone() for key in ("exp_avg", "exp_avg_sq")}
        numbers = {"step": self.step_number, "skipped": self._skipped.total, "training": repr(self.config)}
        files = avatar_to_files(self.avatar) | {MOMENTS: save(moments), NUMBERS: json.dumps(numbers).encode()}
        return Checkpoint(self.step_number, files)

    def resume(self, start: Checkpoint) -> None:
        """Continue from a checkpoint, whose avatar this trainer was given.

        Raises:
            RecipeError: it was made with other numbers.
        """
        numbers = json.loads(start.files[NUMBERS])
        if numbers["training"] != repr(self.config):
            raise RecipeError("the checkpoint was made with another recipe; use the same one, or a new workspace")
        self.step_number, self._skipped = start.step, SkippedSteps(int(numbers["skipped"]))
        moments = load(start.files[MOMENTS])
        for name, parameter in self.avatar.named_parameters():
            if f"{name}.exp_avg" in moments:
                self._optimiser.state[parameter] = {
                    "step": torch.tensor(float(start.step - self._skipped.total)),
                    "exp_avg": moments[f"{name}.exp_avg"].to(self.device),
                    "exp_avg_sq": moments[f"{name}.exp_avg_sq"].to(self.device),
                }

    def check_replicas(self) -> None:
        """Compare the replicas of the avatar.

        Raises:
            StageError: the replicas have drifted apart.
        """
        if self.replicas.world > 1:
            self.replicas.check_equal(parameter_digest(self.avatar), "weights")

    def close(self) -> None:
        """Do nothing: it holds nothing outside this process."""


def first_checkpoint_of(avatar: BodyAvatar, config: BodyTrainingConfig) -> Checkpoint:
    """Checkpoint of an avatar before its first step."""
    numbers = {"step": 0, "skipped": 0, "training": repr(config)}
    return Checkpoint(0, avatar_to_files(avatar) | {MOMENTS: save({}), NUMBERS: json.dumps(numbers).encode()})


def trained_avatar(checkpoint: Checkpoint) -> BodyAvatar:
    """Avatar of a checkpoint."""
    return avatar_from_files(checkpoint.files)


def _mean(losses: Sequence[FrameLoss], name: str) -> float:
    return float(torch.stack([getattr(one, name).detach().float() for one in losses]).mean()) if losses else math.nan
