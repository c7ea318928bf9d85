"""DDIM in both directions (Song et al. 2021): a picture's latent to the noise that it comes from, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from perse.morphing.diffusion.model import LatentDiffusion

OnStep = Callable[[int], None]
"""Called before each step with its number."""


def _ignore(step: int) -> None:
    pass


def invert(
    model: LatentDiffusion,
    latents: Float[Tensor, "b c h w"],
    text: Float[Tensor, "_ n e"],
    steps: int,
    *,
    until: int | None = None,
    on: OnStep = _ignore,
) -> Float[Tensor, "b c h w"]:
    """Noise that latents [b, c, h, w] come from.

    Args:
        steps: of the whole schedule.
        until: how many of them are walked; all by default.
    """
    scheduler = model.inverse_scheduler()
    return _walk(model, scheduler, latents, text, steps, slice(until), on)


def sample(
    model: LatentDiffusion,
    noise: Float[Tensor, "b c h w"],
    text: Float[Tensor, "_ n e"],
    steps: int,
    *,
    first: int = 0,
    last: int | None = None,
    on: OnStep = _ignore,
) -> Float[Tensor, "b c h w"]:
    """Latents of noise [b, c, h, w], from step number `first` to before `last`."""
    return _walk(model, model.scheduler(), noise, text, steps, slice(first, last), on)


@torch.no_grad()
def _walk(
    model: LatentDiffusion, scheduler: Any, latents: Tensor, text: Tensor, steps: int, part: slice, on: OnStep
) -> Tensor:
    scheduler.set_timesteps(steps, device=model.device)
    for number, timestep in enumerate(scheduler.timesteps[part]):
        on(number)
        prediction = model.predict(latents, timestep, text)
        latents = scheduler.step(prediction, timestep, latents).prev_sample
    return latents
