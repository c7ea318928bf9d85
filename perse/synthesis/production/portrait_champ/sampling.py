"""Sampling of a clip from noise: DDIM over overlapping windows, with classifier-free guidance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.synthesis.production.portrait_champ.denoiser import DOMAINS
from perse.synthesis.production.portrait_champ.networks import ChampNetworks
from perse.synthesis.production.portrait_champ.noise import NoiseSchedule
from perse.synthesis.production.portrait_champ.reference_attention import ReferenceFeatures
from perse.synthesis.production.portrait_champ.windows import blended


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Numbers of the sampling: Champ's."""

    schedule: NoiseSchedule = field(default_factory=lambda: NoiseSchedule(betas="linear"))
    """As the last stage of training had it."""
    steps: int = 20
    """Denoising steps."""
    guidance: float = 3.5
    """Classifier-free guidance; 1 leaves out the unconditional pass."""
    window: int = 24
    """Frames that are denoised together."""
    overlap: int = 4
    """Frames that neighbouring windows share."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the networks on a GPU; a CPU always computes in float32. Latents and the scheduler stay in float32."""

    def arithmetic(self, device: torch.device) -> torch.autocast:
        """Context of the networks' passes: their precision."""
        half = self.precision == "bfloat16" and device.type != "cpu"
        return torch.autocast(device.type, torch.bfloat16, enabled=half)


@torch.no_grad()
def sample(
    networks: ChampNetworks,
    reference: Float[Tensor, "1 c h w"],
    tokens: Float[Tensor, "1 t width"],
    maps: Float[Tensor, "f kinds 3 H W"],
    config: SamplingConfig,
    *,
    seed: int,
) -> Float[Tensor, "2 f c h w"]:
    """Clip of one portrait.

    Args:
        reference: [1, c, h, w] latents of the portrait.
        tokens: [1, t, width] of the portrait.
        maps: [f, kinds, 3, H, W] guidance of every frame, in [0, 1].
        seed: of the noise, drawn on the CPU, so that every device starts from the same.

    Returns:
        [2, f, c, h, w] latents: picture and normals of every frame.
    """
    device, frames = reference.device, len(maps)
    scheduler = config.schedule.build()
    scheduler.set_timesteps(config.steps, device=device)
    shape = (1, DOMAINS, frames, *reference.shape[1:])
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
    with config.arithmetic(device):
        seen = networks.look(reference, tokens)
        told = torch.cat([networks.guide(one[None, None]) for one in maps], 1)

    for step in scheduler.timesteps:
        now = step.reshape(1).to(device)

        def predict(start: int, end: int, time: Tensor = now, noisy: Tensor = latents) -> Tensor:
            return predicted_v(networks, noisy[:, :, start:end], time, tokens, told[:, start:end], seen, config)

        v = blended(predict, frames, config.window, config.overlap, axis=2)
        latents = scheduler.step(v, step, latents, eta=0.0).prev_sample
    return latents[0]


def predicted_v(
    networks: ChampNetworks,
    noisy: Float[Tensor, "1 2 f c h w"],
    time: Int[Tensor, "1"],
    tokens: Float[Tensor, "1 t width"],
    guidance: Float[Tensor, "1 f channels h w"],
    reference: ReferenceFeatures,
    config: SamplingConfig,
) -> Float[Tensor, "1 2 f c h w"]:
    """Prediction of v of a window under classifier-free guidance, float32; shapes as `Denoiser.forward` has them."""
    with config.arithmetic(noisy.device):
        v = networks.denoiser(noisy, time, tokens, guidance, reference).float()
        if config.guidance == 1:
            return v
        free = networks.denoiser(noisy, time, torch.zeros_like(tokens), guidance, None).float()
    return free + config.guidance * (v - free)
