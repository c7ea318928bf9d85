"""Stage 2: fine-tuning on interpolations (P 4.3, Eq. 13–15 and 36–39).

::

    z_α = (1 − α) z_a + α z_b      rendered ─► L_interp against the 2D morph at α inside the changed part
    z_a, z_b, z_ref                rendered ─► L_total against their own clips: the pivots stay what they are

All frames of a step share one canonicalisation and one rasterization.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from perse.attributes import CATEGORY_PARTS, Category
from perse.avatar import Avatar, interpolate
from perse.render import Rendering
from perse.training.checkpoint import Checkpoint
from perse.training.clips import FrameBatch
from perse.training.config import LearningRates, TrainingConfig
from perse.training.morph_schedule import MorphRequest, MorphSchedule, MorphSource, MorphTarget
from perse.training.objective import LossTerms
from perse.training.trainer import StepReport, Trainer
from perse.training.training_state import initial_checkpoint

PART_MARGIN_SHARE = 0.02
"""The changed part grows by this share of the picture's width, so that its outline is supervised too."""


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig:
    """Numbers of stage 2."""

    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=300,
            rates=LearningRates(
                bases=2e-2,
                points=1e-3,
                features=2.5e-4,
                networks=1e-4,
                response=2.5e-4,
                skinning=2.5e-4,
                directions=0,
                latents=0,
            ),
        )
    )
    """Steps, schedule and rates. What all subjects share hardly moves, and codes and directions do not:
    interpolations are the bases' business."""
    alphas_per_step: int = 3
    """Of the five interior α, how many a step renders."""
    interpolation_weight: float = 1 / 3
    """Weight of L_interp, a sum over the rendered α (Eq. 39), beside the pivots' total loss (the paper's: 1)."""
    elsewhere_share: float = 0.25
    """Weight of pixels outside the changed part, where the target is a fade of the two pivots."""
    hold_pivots: bool = True
    """With part bases: let a basis move only where no training subject sees it (`PartBases.hold_pivots`). The pivots
    then stay, and the middle may learn fast. Needs more directions than a category has subjects."""


class FineTuner:
    """Trainer of stage 2: continues a trained avatar with interpolations.

    Attributes:
        trainer: holds avatar, optimiser, step number and checkpoints.
    """

    def __init__(
        self, trainer: Trainer, source: MorphSource, config: FineTuneConfig, *, without: Sequence[int] = ()
    ) -> None:
        """
        Args:
            trainer: made with `config.training`.
            source: who makes the morphs.
            without: rows of the subjects table that are not interpolated.

        Raises:
            ValueError: it was not, or no category has two subjects.
        """
        if trainer.config != config.training:
            raise ValueError("make the trainer with the fine-tuning configuration's own training numbers")
        self.trainer, self._source, self._config = trainer, source, config
        self._held = False
        self._schedule = MorphSchedule(
            config.training.seed, trainer.avatar.subjects, trainer.clips.frame_numbers, config.alphas_per_step,
            without=without,
        )  # fmt: skip

    def request(self, step: int | None = None, share: int | None = None) -> MorphRequest:
        """Request for the morph that a share of a step needs (of the next one, and the first of this worker's, by
        default); pure in seed, step, share and their number."""
        number, replicas = self.trainer.step_number if step is None else step, self.trainer.replicas
        return self._schedule.request(
            number, rank=replicas.shares[0] if share is None else share, world=replicas.n_shares
        )

    def requests(self, step: int | None = None) -> list[MorphRequest]:
        """Requests for the morphs of all this worker's shares."""
        return [self.request(step, share) for share in self.trainer.replicas.shares]

    def step(self) -> StepReport:
        """Do one step: for each share a morph between two subjects, and the two of them and the reference in that
        pose."""
        requests = self.requests()

        def words(share: int) -> str:
            return self._words(self.request(share=share))

        if not self._config.hold_pivots:
            return self.trainer.apply(self.gradients(*requests), words)
        self._hold_pivots()
        terms = self.gradients(*requests)
        with ExitStack() as held:
            avatar = self.trainer.avatar
            for category in self._categories():
                held.enter_context(avatar.decoder.between_pivots(category, avatar.latents.reference))
            return self.trainer.apply(terms, words)

    def _categories(self) -> list[int]:
        """What the next step changes, on all replicas: the gradients of all shares are in every one's update."""
        shares = range(self.trainer.replicas.n_shares)
        return sorted({self.request(share=share).category.index for share in shares})

    def _words(self, request: MorphRequest) -> str:
        """What a step looks at, for people."""
        first, second = (self.trainer.avatar.subjects[row].text for row in (request.first, request.second))
        return f"{first} to {second}; frame {self.trainer.clips.frame_numbers[request.frame]}"

    @torch.no_grad()
    def _hold_pivots(self) -> None:
        """Once, before the first step of this process."""
        if not self._held:
            avatar = self.trainer.avatar
            avatar.decoder.hold_pivots(avatar.subject_codes(), avatar.latents.reference, avatar.features_categories)
            self._held = True

    def gradients(self, *requests: MorphRequest) -> LossTerms:
        """Terms of the loss after forward and backward for a morph of each share; the total includes L_interp."""
        return self.trainer.backward([partial(self._loss_of, request) for request in requests])

    def _loss_of(self, request: MorphRequest) -> LossTerms:
        trainer = self.trainer
        rows = (0, request.first, request.second)
        pivots = trainer.clips.batch(rows, [request.frame] * len(rows))
        target, device = self._source.get(request), trainer.device
        supervision = _Supervision(
            rows,
            request.frame,
            target.alphas,
            pivots.to(device),
            torch.from_numpy(target.images).to(device),
            _faded(pivots.images[1], pivots.images[2], target.alphas).to(device),
            _changed(pivots, request.category, target).to(device),
        )
        return self._loss(supervision)

    def _loss(self, given: _Supervision) -> LossTerms:
        """L_total on the pivots (Eq. 12) and L_interp between them (Eq. 15, 39)."""
        trainer, config = self.trainer, self._config
        pivots = trainer.avatar.subject_codes(torch.tensor(given.rows, device=trainer.device))
        between = [interpolate(pivots[1], pivots[2], alpha) for alpha in given.alphas]
        codes = torch.cat([pivots, torch.stack(between)])
        canonical, count, n_pivots = trainer.avatar.canonicalise(codes), len(codes), len(pivots)
        drawn = trainer.draw(canonical, range(count), [given.frame] * count)
        terms = trainer.objective(_frames(drawn, slice(0, n_pivots)), given.pivots)
        interpolation = trainer.objective.of_part(
            _frames(drawn, slice(n_pivots, None)), given.morph, given.elsewhere, given.changed, config.elsewhere_share
        )
        held = trainer.regularisers(pivots, canonical.first(n_pivots))
        return replace(terms, total=terms.total + held + config.interpolation_weight * interpolation)


def first_checkpoint(avatar: Avatar, config: FineTuneConfig) -> Checkpoint:
    """Checkpoint from which fine-tuning of a trained avatar begins. Changes the avatar: what its subjects hide is laid
    where it suits the way between them. Done once and not by every worker: their processors round differently."""
    avatar.decoder.lay_hidden_points(avatar.subject_codes(), avatar.latents.reference, avatar.features_categories)
    return initial_checkpoint(avatar, config.training)


@dataclass(frozen=True)
class _Supervision:
    """What one step is compared with, on the training device.

    Attributes:
        rows: of the subjects table: the reference and the two pivots.
        frame: position in the training clips.
        alphas: m places between the pivots.
        pivots: the three frames.
        morph: [m, h, w, 3] uint8; elsewhere: [m, h, w, 3] in [0, 1], targets outside the changed part.
        changed: [m, h, w] or [h, w] bool.
    """

    rows: tuple[int, ...]
    frame: int
    alphas: tuple[float, ...]
    pivots: FrameBatch
    morph: UInt8[Tensor, "m h w 3"]
    elsewhere: Float[Tensor, "m h w 3"]
    changed: Bool[Tensor, "*m h w"]


def _faded(first: Tensor, second: Tensor, alphas: tuple[float, ...]) -> Tensor:
    """Cross-fades [a, h, w, 3] in [0, 1] of two pictures: outside the changed part they hardly differ."""
    weights = torch.tensor(alphas)[:, None, None, None]
    return ((1 - weights) * first.float() + weights * second.float()) / 255


def _changed(pivots: FrameBatch, category: Category, target: MorphTarget) -> Tensor:
    """The changed part [m, h, w] of the teacher's own pictures, or [h, w] of both ends together; a little grown."""
    if target.parts is not None:
        return grown(torch.from_numpy(target.parts))
    labels = torch.tensor([int(part) for part in CATEGORY_PARTS[category]], dtype=pivots.parts.dtype)
    return grown(torch.isin(pivots.parts[1:], labels).any(0))


def grown(shown: Bool[Tensor, "*b h w"]) -> Bool[Tensor, "*b h w"]:
    """Masks [..., h, w] bool, grown by `PART_MARGIN_SHARE`."""
    radius = max(1, round(PART_MARGIN_SHARE * shown.shape[-1]))
    stack = shown.reshape(-1, 1, *shown.shape[-2:]).float()
    return (torch.nn.functional.max_pool2d(stack, 2 * radius + 1, stride=1, padding=radius) > 0).reshape(shown.shape)


def _frames(rendering: Rendering, chosen: slice) -> Rendering:
    return Rendering(rendering.colors[chosen], rendering.alphas[chosen], rendering.depths[chosen])
