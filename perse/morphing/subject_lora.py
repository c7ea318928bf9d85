"""LoRA of one subject: the UNet learns to draw one person in all frames of its clip (P A.2.2, Eq. 34–35).

Without it a picture half way between two people shows a third one. Trained with peft as Stable Diffusion itself was
trained, on the empty prompt: predict the noise that was added to a frame's latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from perse.data.clip import Pictures
from perse.data.code_version import code_version
from perse.data.keys import content_key
from perse.errors import GenerationError
from perse.morphing.diffusion.adapters import Adapter
from perse.morphing.diffusion.model import LatentDiffusion, LatentDiffusionConfig
from perse.synthesis.production.generation import free_memory, out_of_memory

ATTENTION_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
"""What LoRA of Stable Diffusion adapts: the projections of self- and cross-attention."""

_ENCODED_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class SubjectLoraConfig:
    """Numbers of training a subject's adapter (P A.2.2 and the authors' code)."""

    model: LatentDiffusionConfig = field(default_factory=LatentDiffusionConfig)
    """The model that is adapted."""
    rank: int = 16
    """Of the factors."""
    rate: float = 2e-4
    """AdamW's learning rate."""
    weight_decay: float = 1e-2
    """AdamW's."""
    batch_size: int = 8
    """Frames a step."""
    epochs: int = 5
    """Passes over the frames."""
    prompt: str = ""
    """What every frame is called."""
    seed: int = 0
    """Of the factors' start, the noise and the order of the frames."""

    def key(self, clip: str) -> str:
        """Content key of the adapter of a clip.

        Raises:
            MissingWeightsError: the model's weights are not here.
        """
        return content_key("adapter", clip, self, self.model.digest(), code_version(__name__))

    def build(self) -> SubjectLoraTrainer:
        """Trainer with its model in memory.

        Raises:
            MissingWeightsError: the model's weights are not here, or are of another kind.
        """
        return SubjectLoraTrainer(self, self.model.load())


@dataclass(frozen=True)
class TrainedAdapter:
    """Adapter that training made.

    Attributes:
        adapter: on the CPU.
        losses: mean of each epoch.
        steps: of the optimiser.
    """

    adapter: Adapter
    losses: tuple[float, ...]
    steps: int


class SubjectLoraTrainer:
    """Trainer of one subject's adapter after the other on the same loaded model.

    Args:
        config: numbers.
        model: as `config.model` describes it.
    """

    def __init__(self, config: SubjectLoraConfig, model: LatentDiffusion) -> None:
        self.config, self.model = config, model

    def train(self, frames: Pictures, key: str = "") -> TrainedAdapter:
        """The adapter of a subject.

        Args:
            frames: [f, h, w, 3] uint8, read in small pieces.
            key: the subject's; gives it random numbers of its own.

        Raises:
            GenerationError: out of memory, or the loss is not finite.
        """
        if not len(frames):
            raise ValueError("there are no frames to train on")
        try:
            return self._train(frames, key)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        free_memory()
        raise GenerationError(
            f"out of memory while training an adapter with {self.config.batch_size} frames a step: "
            "choose a smaller batch_size or size_px, or a larger GPU"
        )

    def _train(self, frames: Pictures, key: str) -> TrainedAdapter:
        seed = int(content_key(self.config.seed, key)[:12], 16)
        mean, deviation = self._encoded(frames)
        text = self.model.text(self.config.prompt)
        generator = torch.Generator("cpu").manual_seed(seed)
        parameters = self._inject(seed)
        try:
            optimiser = torch.optim.AdamW(parameters, lr=self.config.rate, weight_decay=self.config.weight_decay)
            losses = [
                [self._step(optimiser, mean[rows], deviation[rows], text, generator) for rows in batches]
                for batches in (self._batches(len(mean), seed, epoch) for epoch in range(self.config.epochs))
            ]
            if not np.isfinite(losses[-1]).all():
                raise GenerationError("the loss of an adapter is NaN: lower its rate, or use precision float32")
            adapter = self._adapter()
        finally:
            self.model.unet.unload_lora()
        return TrainedAdapter(adapter, tuple(float(np.mean(epoch)) for epoch in losses), sum(map(len, losses)))

    def _encoded(self, frames: Pictures) -> tuple[Tensor, Tensor]:
        """Mean and deviation [f, c, h, w] of all frames' latents: 130 kB a frame at 512 pixels."""
        starts = range(0, len(frames), _ENCODED_AT_ONCE)
        parts = [self.model.encode(frames[start : start + _ENCODED_AT_ONCE]) for start in starts]
        return torch.cat([mean for mean, _ in parts]), torch.cat([deviation for _, deviation in parts])

    def _batches(self, frames: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        """Rows of each step of an epoch: every frame once."""
        order = np.random.default_rng((seed, epoch)).permutation(frames)
        return [order[start : start + self.config.batch_size] for start in range(0, len(order), self.config.batch_size)]

    def _inject(self, seed: int) -> list[torch.nn.Parameter]:
        """Fresh factors in the UNet, in float32."""
        from peft import LoraConfig

        rank = self.config.rank
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            layers = list(ATTENTION_LAYERS)
            lora = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=layers)
            self.model.unet.add_adapter(lora)
        parameters = [parameter for parameter in self.model.unet.parameters() if parameter.requires_grad]
        for parameter in parameters:
            parameter.data = parameter.data.float()
        return parameters

    def _step(
        self,
        optimiser: torch.optim.Optimizer,
        mean: Tensor,
        deviation: Tensor,
        text: Tensor,
        generator: torch.Generator,
    ) -> float:
        latents = mean + deviation * _normal(mean, generator)
        noise = _normal(mean, generator)
        scheduler = self.model.scheduler()
        times = torch.randint(scheduler.config.num_train_timesteps, (len(mean),), generator=generator).to(mean.device)
        noisy = scheduler.add_noise(latents, noise, times)
        target = noise if self.model.prediction == "epsilon" else scheduler.get_velocity(latents, noise, times)
        loss = F.mse_loss(self.model.predict(noisy, times, text), target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.detach())

    def _adapter(self) -> Adapter:
        from peft import get_peft_model_state_dict

        state: dict[str, Any] = get_peft_model_state_dict(self.model.unet)
        return Adapter({name: tensor.detach().float().cpu().clone() for name, tensor in sorted(state.items())})


def training_frames(clip_numbers: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Rows of a clip whose frame numbers are wanted; all where `wanted` is empty."""
    if not len(wanted):
        return list(range(len(clip_numbers)))
    chosen = {int(number) for number in wanted}
    return [row for row, number in enumerate(clip_numbers) if int(number) in chosen]


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers, from the CPU: the same ones on every device."""
    return torch.randn(like.shape, generator=generator).to(like)
