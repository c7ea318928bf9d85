"""The loss of rendered frames against their targets (P Eq. 11, 12, 31)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perse.render import Rendering
from perse.training.clips import FrameBatch
from perse.training.config import LossConfig


@dataclass(frozen=True)
class LossTerms:
    """What a step's loss is made of.

    Attributes:
        total: the weighted sum; the only one that carries a gradient.
        l1, ssim, alpha: unweighted, for curves; `ssim` is the similarity, not 1 − SSIM.
    """

    total: Tensor
    l1: float
    ssim: float
    alpha: float


def image_terms(rendering: Rendering, target: FrameBatch, config: LossConfig) -> LossTerms:
    """Eq. 11 over a batch of frames rendered on white: RGB and alpha against uint8 targets."""
    images = target.images.to(rendering.colors.device).float() / 255
    alphas = target.alphas.to(rendering.alphas.device).float() / 255
    l1 = (rendering.colors - images).abs().mean()
    similarity = ssim(rendering.colors, images)
    alpha = (rendering.alphas - alphas).abs().mean()
    total = config.l1 * l1 + config.ssim * (1 - similarity) + config.alpha * alpha
    return LossTerms(total, float(l1.detach()), float(similarity.detach()), float(alpha.detach()))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """temporary: until perse.losses"""
    w = torch.exp(-((torch.arange(11.0) - 5) ** 2) / (2 * 1.5**2))
    w = w / w.sum()
    x = torch.cat([a, b, a * a, b * b, a * b], -1).permute(0, 3, 1, 2)
    c = x.shape[1]
    conv = torch.nn.functional.conv2d
    x = conv(conv(x, w.view(1, 1, 1, 11).expand(c, 1, 1, 11), groups=c), w.view(1, 1, 11, 1).expand(c, 1, 11, 1),
             groups=c)  # fmt: skip
    ma, mb, aa, bb, ab = x.split(3, 1)
    top = (2 * ma * mb + 1e-4) * (2 * (ab - ma * mb) + 9e-4)
    return (top / ((ma * ma + mb * mb + 1e-4) * (aa - ma * ma + bb - mb * mb + 9e-4))).mean()
