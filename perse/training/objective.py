"""Loss of rendered frames against their targets (P Eq. 11-15, 31)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from perse.losses import PictureLossConfig, VggLoss, picture_loss
from perse.losses.images import masked
from perse.render import Rendering
from perse.training.clips import FrameBatch
from perse.training.config import LossConfig

logger = logging.getLogger(__name__)

OCTAVES_INSTEAD_OF_VGG = 3
"""SSIM's octaves where VGG's weights are missing."""


@dataclass(frozen=True)
class LossTerms:
    """Terms of a step's loss.

    Attributes:
        total: the weighted sum; the only one that carries a gradient (until backward has run).
        l1, ssim, alpha: unweighted, for curves; `ssim` is 1 - SSIM. Scalars on the device: reading them would make the
            host wait for it.
    """

    total: Float[Tensor, ""]
    l1: Float[Tensor, ""]
    ssim: Float[Tensor, ""]
    alpha: Float[Tensor, ""]

    def numbers(self) -> list[float]:
        """Numbers total, l1, ssim and alpha, in one transfer."""
        return torch.stack([self.total.detach(), self.l1, self.ssim, self.alpha]).tolist()


class ImageObjective(nn.Module):
    """Objective of Eq. 11: the picture loss, and the perceptual term with or without weights.

    Attributes:
        perceptual_term: what stands for the paper's VGG term: "vgg16", "multi-scale SSIM" or "none". For the report.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.picture: PictureLossConfig = config.picture
        self.weight = config.perceptual
        self.perceptual_term = "none"
        self.vgg: VggLoss | None = None
        if config.perceptual and config.vgg_checkpoint is not None:
            self.vgg, self.perceptual_term = VggLoss(config.vgg_checkpoint), "vgg16"
        elif config.perceptual:
            self.picture = replace(config.picture, scales=max(config.picture.scales, OCTAVES_INSTEAD_OF_VGG))
            self.perceptual_term = "multi-scale SSIM"
            logger.warning("no VGG weights were given: SSIM of %d octaves stands in for them", self.picture.scales)

    def forward(self, rendering: Rendering, target: FrameBatch) -> LossTerms:
        """Terms of the loss of frames rendered on white against uint8 targets; what a recording does not show is not
        looked at."""
        images, alphas = target.images.to(rendering.colors.device), target.alphas.to(rendering.colors.device)
        seen = target.seen
        loss = picture_loss(rendering.colors, rendering.alphas, images, alphas, masks=seen, config=self.picture)
        total = loss.total
        if self.vgg is not None:
            wanted = images.float() / 255
            shown = rendering.colors if seen is None else masked(rendering.colors, wanted, seen)
            total = total + self.weight * self.vgg(shown, wanted)
        return LossTerms(total, loss.l1.detach(), loss.ssim.detach(), loss.alpha.detach())

    def of_part(
        self,
        rendering: Rendering,
        inside: UInt8[Tensor, "b h w 3"],
        outside: Float[Tensor, "b h w 3"],
        mask: Bool[Tensor, "*b2 h w"],
        share: float,
    ) -> Float[Tensor, ""]:
        """Loss of a part (Eq. 14-15 and 39): RGB losses, the VGG term included; a sum over the pictures, each of which
        is a mean over the part, whatever its size.

        Args:
            inside: [b, h, w, 3] uint8, targets in the part. They have no alpha of their own: a morph is a picture.
            outside: [b, h, w, 3] in [0, 1], targets elsewhere.
            mask: [b, h, w] or [h, w] bool, the part.
            share: how much elsewhere counts. The paper's is 0; but with a decoder whose points have attributes of
                their own, a point that no target sees has a gradient of rounding errors, and Adam makes full steps of
                them.
        """
        weights = torch.where(mask, 1.0, share).expand(rendering.alphas.shape)
        wanted = torch.where(mask[..., None], inside.float() / 255, outside)
        own = rendering.alphas.detach()
        config = replace(self.picture, alpha=0.0)
        mean = picture_loss(rendering.colors, rendering.alphas, wanted, own, masks=weights, config=config).total
        if self.vgg is not None:
            mean = mean + self.weight * self.vgg(masked(rendering.colors, wanted, weights), wanted)
        return len(inside) * mean
