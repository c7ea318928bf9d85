"""Noise schedule: v-prediction with a last step that holds nothing but noise.

A schedule that ends with some signal left teaches a network to read the mean brightness from its input; at inference
there is none. So signal-to-noise is rescaled to end at zero, v is predicted, and sampling starts at the very last
step (Lin et al. 2024, "Common diffusion noise schedules and sample steps are flawed").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """Schedule of Stable Diffusion's 1,000 steps."""

    betas: Literal["scaled_linear", "linear"] = "scaled_linear"
    """Their shape between the ends: Stable Diffusion's, or AnimateDiff's."""
    start: float = 0.00085
    """First β."""
    end: float = 0.012
    """Last β, before the rescaling."""
    steps: int = 1000
    """Of the training."""

    def build(self) -> Any:
        """A DDIM scheduler of diffusers; it adds noise in training and removes it in sampling."""
        from diffusers import DDIMScheduler

        return DDIMScheduler(
            num_train_timesteps=self.steps,
            beta_start=self.start,
            beta_end=self.end,
            beta_schedule=self.betas,
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            clip_sample=False,
            set_alpha_to_one=True,
        )


def min_snr_weights(
    alphas_cumprod: Float[Tensor, " steps"], timesteps: Int[Tensor, " b"], gamma: float
) -> Float[Tensor, " b"]:
    """Weights [b] of the squared error of v (min-SNR-γ, Hang et al. 2023): min(SNR + 1, γ) / (SNR + 1).

    Written with SNR + 1 also in the numerator, as Champ does: the usual min(SNR, γ) / (SNR + 1) is zero where there is
    no signal, and the step that sampling starts with would never be trained.
    """
    signal = alphas_cumprod.to(timesteps.device)[timesteps]
    snr_plus_one = 1 / (1 - signal).clamp(min=1e-8)
    return snr_plus_one.clamp(max=gamma) / snr_plus_one


def offset_noise(shape: tuple[int, ...], strength: float, generator: torch.Generator) -> Float[Tensor, "b d f c h w"]:
    """Noise [b, d, f, c, h, w] whose mean varies a little by portrait, domain and channel, so that dark and bright
    pictures are learned (the frames of a clip share it)."""
    b, d, _, c, _, _ = shape
    plain = torch.randn(shape, generator=generator)
    return plain + strength * torch.randn((b, d, 1, c, 1, 1), generator=generator)
