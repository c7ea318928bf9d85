"""Stage 2: fine-tuning on interpolations (P 4.3, Eq. 13–15 and 36–39).

::

    z_α = (1 − α) z_a + α z_b      rendered ─► L_interp against the 2D morph at α inside the changed part
    z_a, z_b, z_ref                rendered ─► L_total against their own clips: the pivots stay what they are

All frames of a step share one canonicalisation and one rasterization.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from perse.attributes import CATEGORY_PARTS, Category
from perse.avatar import interpolate
from perse.render import Rendering
from perse.training.clips import ClipStore, FrameBatch
from perse.training.config import LearningRates, TrainingConfig
from perse.training.morph_schedule import MorphRequest, MorphSource, morph_request
from perse.training.objective import LossTerms
from perse.training.trainer import StepReport, Trainer

PART_MARGIN_SHARE = 0.02
"""The changed part grows by this share of the picture's width, so that its outline is supervised too."""


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig:
    """Stage 2."""

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
    interpolation_weight: float = 1.0
    """Weight of L_interp beside the pivots' total loss."""
    elsewhere_share: float = 0.25
    """Weight of pixels outside the changed part, where the target is a fade of the two pivots."""
    hold_pivots: bool = True
    """With part bases: let a basis move only where no training subject sees it (`PartBases.hold_pivots`). The pivots
    then stay, and the middle may learn fast. Needs more directions than a category has subjects."""


class FineTuner:
    """Continues a trained avatar with interpolations.

    Attributes:
        trainer: holds avatar, optimiser, step number and checkpoints.
    """

    def __init__(self, trainer: Trainer, source: MorphSource, config: FineTuneConfig) -> None:
        """`trainer` must have been made with `config.training`."""
        if trainer.config != config.training:
            raise ValueError("make the trainer with the fine-tuning configuration's own training numbers")
        self.trainer, self._source, self._config = trainer, source, config
        self._held = False

    def request(self, step: int | None = None) -> MorphRequest:
        """The morph that a step needs (the next one by default); pure in (seed, step)."""
        number = self.trainer.step_number if step is None else step
        clips = self.trainer.clips
        return morph_request(
            self._config.training.seed, number, self.trainer.avatar.subjects, clips.frame_numbers,
            self._config.alphas_per_step,
        )  # fmt: skip

    def step(self) -> StepReport:
        """One step: a morph between two subjects, and the two of them and the reference in the same pose."""
        request = self.request()
        if not self._config.hold_pivots:
            return self.trainer.apply(self.gradients(request))
        self._hold_pivots()
        terms = self.gradients(request)
        avatar = self.trainer.avatar
        with avatar.decoder.between_pivots(request.category.index, avatar.latents.reference):
            return self.trainer.apply(terms)

    @torch.no_grad()
    def _hold_pivots(self) -> None:
        """Once, before the first step of this process."""
        if not self._held:
            avatar = self.trainer.avatar
            avatar.decoder.hold_pivots(avatar.subject_codes(), avatar.latents.reference, avatar.features_categories)
            self._held = True

    def gradients(self, request: MorphRequest) -> LossTerms:
        """Forward and backward for one morph; the total of the result includes L_interp."""
        with self.trainer.avatar.decoder.arithmetic():
            return self._gradients(request)

    def _gradients(self, request: MorphRequest) -> LossTerms:
        trainer = self.trainer
        trainer.zero_gradients()
        rows = (0, request.first, request.second)
        pivots = trainer.avatar.subject_codes(torch.tensor(rows, device=trainer.device))
        between = [interpolate(pivots[1], pivots[2], alpha) for alpha in request.alphas]
        codes = torch.cat([pivots, torch.stack(between)])
        count = len(codes)
        drawn = trainer.draw(trainer.avatar.canonicalise(codes), range(count), [request.frame] * count)
        target = trainer.clips.batch(rows, [request.frame] * len(rows))
        terms = trainer.objective(_frames(drawn, slice(0, 3)), target)
        morph = torch.from_numpy(self._source.get([request])[0]).to(trainer.device)
        mask = changed_mask(request, trainer.clips).to(trainer.device)
        elsewhere = _faded(target.images[1], target.images[2], request.alphas).to(trainer.device)
        interpolation = trainer.objective.of_part(
            _frames(drawn, slice(3, None)), morph, elsewhere, mask, self._config.elsewhere_share
        )
        total = terms.total + self._config.interpolation_weight * interpolation
        total.backward()
        return LossTerms(total.detach(), terms.l1, terms.ssim, terms.alpha)


def _faded(first: Tensor, second: Tensor, alphas: tuple[float, ...]) -> Tensor:
    """Cross-fades [a, h, w, 3] in [0, 1] of two pictures: outside the changed part they hardly differ."""
    weights = torch.tensor(alphas)[:, None, None, None]
    return ((1 - weights) * first.float() + weights * second.float()) / 255


def changed_mask(request: MorphRequest, clips: ClipStore) -> Tensor:
    """Pixels [h, w] bool of the two subjects' changed part, both shapes together, a little grown."""
    batch = clips.batch([request.first, request.second], [request.frame] * 2)
    return part_mask(batch, request.category)


def part_mask(batch: FrameBatch, category: Category) -> Tensor:
    """Where any of the frames shows the category's parts, grown by `PART_MARGIN_SHARE`; [h, w] bool."""
    labels = torch.tensor([int(part) for part in CATEGORY_PARTS[category]], dtype=batch.parts.dtype)
    shown = torch.isin(batch.parts, labels).any(0)
    radius = max(1, round(PART_MARGIN_SHARE * shown.shape[1]))
    grown = torch.nn.functional.max_pool2d(shown[None, None].float(), 2 * radius + 1, stride=1, padding=radius)
    return grown[0, 0] > 0


def _frames(rendering: Rendering, chosen: slice) -> Rendering:
    return Rendering(rendering.colors[chosen], rendering.alphas[chosen], rendering.depths[chosen])
