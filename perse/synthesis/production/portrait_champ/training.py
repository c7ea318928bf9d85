"""Training step of portrait-Champ, and the state that it changes (P A.3.2).

::

    batch ─► latents ─┬─ noise at a random step ─► denoiser ─► v ─► weighted squared error ─► Adam ─► moving average
    portrait ─► reference UNet ─ features ─┘

The first stage trains on single frames everything but the motion modules; the second on windows of frames only these.
All randomness is a function of (seed, step, rank): a resumed training ends where an uninterrupted one ends. How several
workers share a training is in `sharing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from perse.errors import RecipeError
from perse.synthesis.production.portrait_champ.networks import ChampNetworks
from perse.synthesis.production.portrait_champ.noise import NoiseSchedule, min_snr_weights, offset_noise
from perse.synthesis.production.portrait_champ.sharing import ShardedWeights, Sharing, WholeWeights

_NOISE, _BLIND = 40, 41
"""Streams of random numbers, apart from the sampler's."""


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Configuration of AdamW in one fused kernel."""

    weight_decay: float = 1e-2
    """Decoupled."""

    def build(self, parameters: Sequence[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=self.weight_decay, fused=True)


@dataclass(frozen=True, kw_only=True)
class EightBitAdamConfig:
    """Configuration of AdamW with moments in eight bits (bitsandbytes): six bytes a parameter less."""

    weight_decay: float = 1e-2
    """Decoupled."""

    def build(self, parameters: Sequence[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        """Optimiser of parameters.

        Raises:
            RecipeError: bitsandbytes is not installed.
        """
        try:
            import bitsandbytes
        except ImportError as error:
            raise RecipeError(
                "8-bit Adam needs the package bitsandbytes and a CUDA device: pip install bitsandbytes, or use "
                "AdamConfig() in the recipe"
            ) from error
        return bitsandbytes.optim.AdamW8bit(parameters, lr=rate, weight_decay=self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class ChampTrainingConfig:
    """Configuration of one stage. One frame a sample trains everything but motion, several train motion alone."""

    iterations: int
    """Steps."""
    batch: int
    """Samples of a step, over all workers."""
    frames: int = 1
    """Frames of a sample."""
    stride: int = 1
    """Every n-th frame of a video, within a sample."""
    rate: float = 1e-5
    """Learning rate."""
    warm_up: int = 0
    """Steps until the full rate."""
    final_rate: float = 1.0
    """Share of the rate that is left at the last step; it falls evenly."""
    unconditional: float = 0.1
    """Share of steps without portrait and tokens, for classifier-free guidance; the same steps for all workers."""
    noise_offset: float = 0.05
    """How much the noise's mean varies."""
    min_snr: float = 5.0
    """γ of min-SNR."""
    moving_average: float = 0.999
    """Decay of the averaged weights, which are what is kept."""
    largest_gradient: float = 1.0
    """Norm to which gradients are clipped."""
    normals: float = 1.0
    """Weight of the normal domain's error."""
    schedule: NoiseSchedule = field(default_factory=NoiseSchedule)
    """How noise is added."""
    optimiser: AdamConfig | EightBitAdamConfig = field(default_factory=AdamConfig)
    """Who updates."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward pass."""
    save_memory: bool = False
    """Gradient checkpointing: a third more time for a fraction of the memory."""
    seed: int = 0
    """Of noise and samples."""

    def __post_init__(self) -> None:
        if min(self.iterations, self.batch, self.frames, self.stride) < 1:
            raise RecipeError("iterations, batch, frames and stride of a training stage must be at least 1")

    @property
    def moves(self) -> bool:
        """Whether motion modules are trained."""
        return self.frames > 1


@dataclass(frozen=True)
class ChampBatch:
    """Samples of one worker.

    Attributes:
        reference: [b, c, h, w] latents of the portraits.
        tokens: [b, t, width] of the portraits.
        latents: [b, 2, f, c, h, w] of the frames, pictures and normals.
        maps: [b, f, kinds, 3, H, W] guidance of the frames, in [0, 1].
    """

    reference: Float[Tensor, "b c h w"]
    tokens: Float[Tensor, "b t width"]
    latents: Float[Tensor, "b 2 f c h w"]
    maps: Float[Tensor, "b f kinds 3 H W"]


@dataclass(frozen=True)
class ChampReport:
    """Report of a step, for curves.

    Attributes:
        step: its number, from 0.
        loss: weighted error of both domains.
        picture, normals: mean squared error of v in each domain, unweighted.
        gradient: norm before clipping.
        rate: learning rate.
    """

    step: int
    loss: float
    picture: float
    normals: float
    gradient: float
    rate: float


def learning_rate(config: ChampTrainingConfig, step: int) -> float:
    """Learning rate of a step: it rises over the first steps, then falls evenly to what is left at the last."""
    risen = min(1.0, (step + 1) / max(config.warm_up, 1))
    return config.rate * risen * (1 - (1 - config.final_rate) * step / config.iterations)


class ChampTrainer:
    """Trainer of the networks of one stage.

    Attributes:
        networks: on their device; parameters that this stage does not train are frozen here.
        step_number: number of the next step.
    """

    def __init__(self, networks: ChampNetworks, config: ChampTrainingConfig, sharing: Sharing | None = None) -> None:
        """
        Args:
            sharing: how the workers share the weights; None: there is one worker.
        """
        self.networks, self.config = networks, config
        self.step_number = 0
        self._sharing = sharing or WholeWeights()
        self._sharing.spread(networks)
        chosen = networks.motion_parameters() if config.moves else networks.frame_parameters()
        self._trained = dict(chosen)
        networks.requires_grad_(False)
        for parameter in self._trained.values():
            parameter.requires_grad_(True)
        networks.train()
        if config.save_memory:
            networks.save_memory()
        self._optimiser = config.optimiser.build(list(self._trained.values()), config.rate)
        self._average = {name: value.detach().clone() for name, value in self._trained.items()}
        self._scheduler = config.schedule.build()

    @property
    def sharded(self) -> bool:
        """Whether this worker holds a part of the weights only."""
        return isinstance(self._sharing, ShardedWeights)

    @property
    def device(self) -> torch.device:
        return next(iter(self._trained.values())).device

    def step(self, batch: ChampBatch) -> ChampReport:
        """Do one step on this worker's samples."""
        rate = learning_rate(self.config, self.step_number)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        found: list[Tensor] = []

        def forward() -> Tensor:
            found[:] = self.loss(batch)
            return found[0]

        self._sharing.backward(self.networks, forward)
        gradient = nn.utils.clip_grad_norm_(list(self._trained.values()), self.config.largest_gradient)
        self._optimiser.step()
        self._follow()
        report = self._report(found[0].detach(), found[1], self._sharing.total(gradient), rate)
        self.step_number += 1
        return report

    def _report(self, loss: Tensor, errors: Float[Tensor, "2"], gradient: Tensor, rate: float) -> ChampReport:
        """Numbers from the device."""
        picture, normals = errors.tolist()
        return ChampReport(self.step_number, float(loss), picture, normals, float(gradient), rate)

    def loss(self, batch: ChampBatch) -> tuple[Float[Tensor, ""], Float[Tensor, "2"]]:
        """Weighted loss and plain squared error [2] of both domains, for the next step's noise."""
        timesteps, noise = self._noise(batch.latents)
        noisy = self._scheduler.add_noise(batch.latents, noise, timesteps)
        target = self._scheduler.get_velocity(batch.latents, noise, timesteps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            found = self._predict(batch, noisy, timesteps, self._blind())
        error = (found.float() - target.float()).square().mean((2, 3, 4, 5))  # [b, 2]
        weights = min_snr_weights(self._scheduler.alphas_cumprod, timesteps, self.config.min_snr)[:, None]
        importance = torch.tensor([1.0, self.config.normals], device=error.device)
        return (error * weights * importance).mean(), error.detach().mean(0)

    def _predict(
        self, batch: ChampBatch, noisy: Float[Tensor, "b 2 f c h w"], timesteps: Int[Tensor, " b"], unconditional: bool
    ) -> Float[Tensor, "b 2 f c h w"]:
        tokens = torch.zeros_like(batch.tokens) if unconditional else batch.tokens
        features = None if unconditional else self.networks.look(batch.reference, batch.tokens)
        return self.networks.denoiser(noisy, timesteps, tokens, self.networks.guide(batch.maps), features)

    def _noise(self, latents: Float[Tensor, "b 2 f c h w"]) -> tuple[Int[Tensor, " b"], Float[Tensor, "b 2 f c h w"]]:
        """This worker's moments and noise of the next step, drawn on the CPU: the same on every device."""
        seeds = np.random.SeedSequence((self.config.seed, _NOISE, self.step_number, self._sharing.rank))
        generator = torch.Generator().manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        timesteps = torch.randint(self.config.schedule.steps, (len(latents),), generator=generator).to(self.device)
        return timesteps, offset_noise(tuple(latents.shape), self.config.noise_offset, generator).to(latents)

    def _blind(self) -> bool:
        """Whether the next step is one without the portrait. All workers agree: they gather the same weights."""
        drawn = np.random.default_rng((self.config.seed, _BLIND, self.step_number)).random()
        return bool(drawn < self.config.unconditional)

    @torch.no_grad()
    def _follow(self) -> None:
        """The moving average; short at the beginning, so that it forgets the random start."""
        decay = min(self.config.moving_average, (1 + self.step_number) / (10 + self.step_number))
        for name, parameter in self._trained.items():
            self._average[name].lerp_(parameter, 1 - decay)

    # State

    @contextmanager
    def averaging(self) -> Iterator[ChampNetworks]:
        """Context in which the networks have averaged weights."""
        own = {name: parameter.detach().clone() for name, parameter in self._trained.items()}
        self._put(self._average)
        self.networks.eval()
        try:
            yield self.networks
        finally:
            self._put(own)
            self.networks.train()

    @torch.no_grad()
    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._trained.items():
            parameter.copy_(weights[name])
        self._sharing.settle(self.networks)

    def averaged(self) -> dict[str, Tensor]:
        """Averaged weights of what this stage trains, by name; of sharded ones this worker's parts."""
        return dict(self._average)

    def state(self) -> dict[str, Tensor]:
        """State: trained weights, their averages, the optimiser's moments. Called by all workers; worker 0 gets it."""
        tensors = {f"trained/{name}": value.detach() for name, value in self._trained.items()}
        tensors |= {f"average/{name}": value for name, value in self._average.items()}
        # In one order for all workers, who gather them one by one: what was restored is in the order of its file.
        for number, moments in sorted(self._optimiser.state_dict()["state"].items()):
            for name, value in sorted(moments.items()):
                tensors[f"moments/{number}/{name}"] = torch.as_tensor(value)
        return {name: self._sharing.whole(value).contiguous() for name, value in tensors.items()}

    @torch.no_grad()
    def restore(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Continue from a state as if never interrupted.

        Raises:
            RecipeError: it is of other networks.
        """
        expected = {f"trained/{name}" for name in self._trained}
        found = {name for name in state if name.startswith("trained/")}
        if found != expected:
            odd = sorted(found ^ expected)[0]
            raise RecipeError(f"the checkpoint is of other networks ({odd} differs); train in a new workspace")
        moments: dict[int, dict[str, Any]] = {}
        trained, part = list(self._trained.values()), self._sharing.part
        for key, value in state.items():
            kind, name = key.split("/", 1)
            if kind == "trained":
                self._trained[name].copy_(part(value, self._trained[name]))
            elif kind == "average":
                self._average[name].copy_(part(value, self._average[name]))
            else:
                number, what = name.split("/")
                moments.setdefault(int(number), {})[what] = part(value, trained[int(number)])
        whole = self._optimiser.state_dict()
        self._optimiser.load_state_dict({**whole, "state": moments})
        self.step_number = step
