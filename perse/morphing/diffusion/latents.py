"""Interpolation of two latents: slerp (P A.2.1), and AdaIN, which gives the result the statistics that belong there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

_PARALLEL = 0.9995
"""Cosine from which an arc is a straight line to all digits, and its formula would divide by nothing."""


def slerp(
    first: Float[Tensor, "c h w"], second: Float[Tensor, "c h w"], positions: Sequence[float]
) -> Float[Tensor, "m c h w"]:
    """Spherical interpolation of two latents [c, h, w], each taken as one long vector.

    In float64: the arc between two noises is a small angle's worth away from degenerate in half precision.

    Returns:
        [m, c, h, w] of the latents' type.
    """
    a, b = first.double(), second.double()
    cosine = (a * b).sum() / (a.norm() * b.norm())
    t = torch.tensor(positions, dtype=torch.float64, device=first.device)
    if not cosine.abs() < _PARALLEL:  # nan, of a latent that is zero, too
        weights = 1 - t, t
    else:
        angle = torch.acos(cosine)
        weights = torch.sin((1 - t) * angle) / torch.sin(angle), torch.sin(t * angle) / torch.sin(angle)
    left, right = (weight[:, None, None, None] for weight in weights)
    return (left * a + right * b).to(first.dtype)


def adain(
    latents: Float[Tensor, "m c h w"],
    first: Float[Tensor, "c h w"],
    second: Float[Tensor, "c h w"],
    positions: Sequence[float],
) -> Float[Tensor, "m c h w"]:
    """Latents [m, c, h, w] with each channel's mean and deviation replaced by the two ends', interpolated (D 4.4)."""
    t = torch.tensor(positions, dtype=latents.dtype, device=latents.device)[:, None, None, None]
    (mean_a, std_a), (mean_b, std_b) = _statistics(first[None]), _statistics(second[None])
    mean, std = _statistics(latents)
    normalised = (latents - mean) / std
    return normalised * torch.lerp(std_a, std_b, t) + torch.lerp(mean_a, mean_b, t)


def keep_low_frequencies(
    latents: Float[Tensor, "m c h w"], noise: Float[Tensor, "c h w"], share: float
) -> Float[Tensor, "m c h w"]:
    """Latents [m, c, h, w] whose highest frequencies are those of a noise [c, h, w].

    Args:
        share: of the spectrum's half width, in both directions, that is kept.
    """
    h, w = latents.shape[-2:]
    rows, columns = torch.fft.fftfreq(h), torch.fft.fftfreq(w)  # -0.5 … 0.5
    low = (rows.abs()[:, None] <= share / 2) & (columns.abs()[None] <= share / 2)
    low = low.to(latents.device)
    mixed = torch.where(low, torch.fft.fft2(latents), torch.fft.fft2(noise)[None])
    return torch.fft.ifft2(mixed).real.to(latents.dtype)


def _statistics(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, [m, c, 1, 1]."""
    return latents.mean((2, 3), keepdim=True), latents.std((2, 3), keepdim=True) + 1e-6
