"""Fused picture loss of training: L1 + SSIM + alpha over all frames of a step, with its gradient.

Equal to the torch functions of `perse.losses.images` and about thirty times as fast as convolutions on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from perse.losses.images import halved, l1, ssim
from perse.render.threads import limited_threads, thread_count


@dataclass(frozen=True, kw_only=True)
class PictureLossConfig:
    """Weights of the picture loss (Eq. 11). Values of C (docs/reference.md#method-numbers); alpha was measured
    (docs/reference.md#the-laptop-avatar)."""

    l1: float = 1.0
    """Of the mean absolute difference."""
    ssim: float = 0.25
    """Of 1 - SSIM, averaged over the scales."""
    alpha: float = 0.1
    """Of the mean absolute difference of the alphas."""
    scales: int = 1
    """SSIM is taken of so many octaves: the picture, its half, … More than one stands in for the VGG term."""


@dataclass(frozen=True)
class PictureLoss:
    """Values of the picture loss, scalars.

    Attributes:
        total: the weighted sum, with gradient.
        l1, ssim, alpha: its terms without their weights, detached; ``ssim`` is 1 - SSIM.
    """

    total: Float[Tensor, ""]
    l1: Float[Tensor, ""]
    ssim: Float[Tensor, ""]
    alpha: Float[Tensor, ""]


def picture_loss(
    images: Float[Tensor, "f h w c"],
    alphas: Float[Tensor, "f h w"],
    targets: Shaped[Tensor, "f h w c"],
    target_alphas: Shaped[Tensor, "f h w"],
    *,
    masks: Float[Tensor, "f h w"] | None = None,
    frame_weights: Float[Tensor, " f"] | None = None,
    config: PictureLossConfig | None = None,
    threads: int | None = None,
) -> PictureLoss:
    """The weighted mean over frames of ``l1 · |x - y| + ssim · (1 - SSIM) + alpha · |a - b|``.

    Args:
        images: [f, h, w, c] rendered, on the targets' background.
        alphas: [f, h, w] rendered.
        targets, target_alphas: the same shapes; uint8 (255 is one) or floating point in [0, 1]. No gradient.
        masks: [f, h, w] in [0, 1]: where a frame counts; elsewhere it is replaced by its target, and its means are
            taken over the mask's area (see `perse.losses.images`). None counts everything.
        frame_weights: [f] ≥ 0, relative weights; None is equal ones.
        config: weights of the terms.
        threads: of the CPU kernels; None as many as torch. On other devices the torch functions are used.
    """
    config = config or PictureLossConfig()
    _check(images, alphas, targets, target_alphas, masks)
    share_list = _shares(images.shape[0], frame_weights)

    loss = _one_scale if images.device.type == "cpu" else _one_scale_torch
    total, terms = loss(images, alphas, targets, target_alphas, masks, share_list, config, config.scales, threads)
    similarity = [terms[1]]
    for _ in range(config.scales - 1):
        images, targets = halved(images), halved(_unit(targets))
        masks = None if masks is None else halved(masks[..., None].to(images))[..., 0]
        empty = images.new_zeros(images.shape[:-1])
        coarse = PictureLossConfig(l1=0.0, ssim=config.ssim, alpha=0.0)
        more, more_terms = loss(images, empty, targets, empty, masks, share_list, coarse, config.scales, threads)
        total = total + more
        similarity.append(more_terms[1])
    return PictureLoss(total, terms[0], torch.stack(similarity).mean(), terms[2])


def _shares(frames: int, weights: Tensor | None) -> list[float]:
    """Each frame's share of the mean."""
    if weights is None:
        return [1 / max(frames, 1)] * frames
    shares = weights.detach().cpu().float()
    return [float(share) for share in shares / shares.sum().clamp(min=1e-12)]


def _check(images: Tensor, alphas: Tensor, targets: Tensor, target_alphas: Tensor, masks: Tensor | None) -> None:
    if images.dim() != 4 or alphas.shape != images.shape[:-1]:
        raise ValueError(
            f"images must be [f, h, w, c] and alphas [f, h, w], got {tuple(images.shape)}, {tuple(alphas.shape)}"
        )
    if targets.shape != images.shape or target_alphas.shape != alphas.shape:
        raise ValueError(
            f"targets must have the images' shapes, got {tuple(targets.shape)}, {tuple(target_alphas.shape)}"
        )
    if masks is not None and masks.shape != alphas.shape:
        raise ValueError(f"masks must have the shape {tuple(alphas.shape)}, got {tuple(masks.shape)}")


def _unit(values: Tensor) -> Tensor:
    return values.float() / 255 if values.dtype == torch.uint8 else values


def _one_scale_torch(
    images: Tensor,
    alphas: Tensor,
    targets: Tensor,
    target_alphas: Tensor,
    masks: Tensor | None,
    shares: list[float],
    config: PictureLossConfig,
    scales: int,
    threads: int | None,
) -> tuple[Tensor, Tensor]:
    """The specification of `_one_scale`: frame by frame with the plain functions. Total and the three terms [3]."""
    targets, target_alphas = _unit(targets).to(images), _unit(target_alphas).to(alphas)
    terms = images.new_zeros(3)
    for f, share in enumerate(shares):
        mask = None if masks is None else masks[f].to(images)
        frame = torch.stack([
            l1(images[f], targets[f], mask),
            1 - ssim(images[f], targets[f], mask),
            l1(alphas[f][..., None], target_alphas[f][..., None], mask),
        ])  # fmt: skip
        terms = terms + share * frame
    total = config.l1 * terms[0] + config.ssim / scales * terms[1] + config.alpha * terms[2]
    return total, terms.detach()


def _one_scale(
    images: Tensor,
    alphas: Tensor,
    targets: Tensor,
    target_alphas: Tensor,
    masks: Tensor | None,
    shares: list[float],
    config: PictureLossConfig,
    scales: int,
    threads: int | None,
) -> tuple[Tensor, Tensor]:
    weights = (config.l1, config.ssim / scales, config.alpha)
    return _FusedPictureLoss.apply(
        images.float(), alphas.float(), targets.detach(), target_alphas.detach(), masks, shares, weights,
        thread_count(threads),
    )  # type: ignore[no-any-return]  # fmt: skip


class _FusedPictureLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        alphas: Tensor,
        targets: Tensor,
        target_alphas: Tensor,
        masks: Tensor | None,
        shares: list[float],
        weights: tuple[float, float, float],
        threads: int,
    ) -> tuple[Tensor, Tensor]:
        from perse.losses.fused_kernels import picture_losses

        frames, height, width, channels = images.shape
        if masks is None:
            mask_array = np.empty((1, height, 0), np.float32)
            areas = np.full(frames, height * width, np.float64)
        else:
            mask_array = np.ascontiguousarray(masks.detach().float().numpy())
            areas = np.maximum(mask_array.sum((1, 2), dtype=np.float64), 1.0)
        # A row sum times its factor is that row's share of the mean over pixels, channels and frames.
        per_pixel = np.asarray(shares)[:, None] / areas[:, None] / np.array([channels, channels, 1.0])
        g_images, g_alphas = torch.empty(images.shape), torch.empty(alphas.shape)
        sums = np.zeros((frames, height, 3), np.float32)
        with limited_threads(threads):
            picture_losses(
                _rows(images), *_scaled(targets, rows=True), alphas.detach().contiguous().numpy(),
                *_scaled(target_alphas, rows=False), mask_array, channels,
                (per_pixel * np.array(weights)).astype(np.float32), _rows(g_images), g_alphas.numpy(), sums,
            )  # fmt: skip
        terms = (sums.sum(1, dtype=np.float64) * per_pixel).sum(0)
        ctx.save_for_backward(g_images, g_alphas)
        return images.new_tensor(float(terms @ np.array(weights))), images.new_tensor(terms.tolist())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g_total: Tensor, g_terms: Tensor) -> tuple[Tensor | None, ...]:
        g_images, g_alphas = ctx.saved_tensors
        factor = float(g_total)
        if factor != 1.0:
            g_images, g_alphas = g_images * factor, g_alphas * factor
        return g_images, g_alphas, None, None, None, None, None, None


def _rows(images: Tensor) -> Any:
    f, h, w, c = images.shape
    return images.detach().contiguous().view(f, h, w * c).numpy()


def _scaled(targets: Tensor, *, rows: bool) -> tuple[Any, np.float32]:
    """A target as an array, uint8 or float32, and the factor that makes it one at full."""
    if targets.dtype != torch.uint8:
        targets = targets.float()
    scale = np.float32(1 / 255) if targets.dtype == torch.uint8 else np.float32(1)
    return (_rows(targets) if rows else targets.contiguous().numpy()), scale
