"""Teacher without training, in the manner of FreeMorph (Cao et al. 2025, arXiv 2507.01953).

The two ends and all α go through the model together, first and last row of one batch:

    latents_a, latents_b ─ slerp ─► latent_α ─ DDIM up to 80 % of the noise ─► highest frequencies replaced by noise
        ─ DDIM down ─► latent ─ VAE ─► picture

and on the way the rows between the ends look at them in self-attention:

| way  | part of the walked steps | a row between the ends attends to                                       |
|------|--------------------------|--------------------------------------------------------------------------|
| up   | the first 30 %           | itself                                                                   |
| up   | until 60 %               | the ends, half and half ("spherical feature aggregation")                |
| up   | the rest                 | the ends and itself, a third each ("prior-driven self-attention")        |
| down | the first 20 %           | the ends, (1 − α) and α ("step-oriented variation trend")                |
| down | until 60 %               | the ends, (1 − α) / 2 and α / 2, and itself, one half                    |
| down | the rest                 | itself                                                                   |

From the paper: slerp of clean latents, the two kinds of guided attention, the variation trend, the injection of
high-frequency noise. The shares of the steps, 80 % of the way and the width of the injected band are those of its
authors' code. Ours: no captions and no classifier-free guidance (our ends are two pictures of one person, and an empty
prompt guides nowhere); a row attends to the ends and itself and never to other α, so that a picture does not depend on
which others were asked for; the ends attend to themselves alone, so that they stay what they are; 25 steps, not 50.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from perse.morphing.diffusion.attention import Attending, AttentionToEnds, processors, self_attention
from perse.morphing.diffusion.ddim import invert, sample
from perse.morphing.diffusion.latents import keep_low_frequencies, slerp
from perse.morphing.diffusion.model import LatentDiffusionConfig
from perse.morphing.generated import LESS_MEMORY, morph_of, rendered
from perse.morphing.morpher import Morph, MorphCost, MorphEnd, check_ends
from perse.shapes import Picture
from perse.synthesis.production.generation import Batches
from perse.synthesis.production.segmenter import SegmenterConfig


@dataclass(frozen=True, kw_only=True)
class FreeMorphConfig:
    """Numbers of the module's table."""

    version: int = 1
    """Part of content keys: changes whenever the pictures do."""
    model: LatentDiffusionConfig = field(default_factory=LatentDiffusionConfig)
    """Which model; nothing is trained."""
    steps: int = 25
    """Of the whole schedule."""
    strength: float = 0.8
    """Share of the steps that is walked up and down."""
    prompt: str = ""
    """What both ends are called."""

    lora: ClassVar[None] = None
    """No subject needs an adapter."""
    up: tuple[float, float] = (0.3, 0.6)
    """Shares of the walked steps at which the attention changes on the way up."""
    down: tuple[float, float] = (0.2, 0.6)
    """The same on the way down."""
    kept_frequencies: float = 0.9
    """Share of the spectrum's width that is kept; the highest frequencies beyond it become noise."""
    seed: int = 0
    """Of that noise, which is the same for all pairs."""
    alphas_at_once: int = 8
    """Pictures of a pair in one batch, beside the two ends; halved when memory does not suffice."""
    segmenter: SegmenterConfig | None = None
    """Finds person and edited part in the pictures (M_part of Eq. 39); None grows one end's masks into the other's."""

    def __post_init__(self) -> None:
        if not (self.steps >= 2 and 0 < self.strength <= 1 and round(self.steps * self.strength) >= 1):
            raise ValueError(f"steps must be 2 or more and strength in (0, 1]; got {self.steps} and {self.strength}")

    def check(self) -> None:
        """Refuse weights of another kind before anything is loaded.

        Raises:
            MissingWeightsError: they are not here, or are of another kind.
        """
        self.model.check_weights()

    def build(self) -> FreeMorph:
        """Morpher with its model in memory.

        Raises:
            MissingWeightsError: the model's weights are not here, or are of another kind.
        """
        return FreeMorph(self)


class FreeMorph:
    """Morpher by FreeMorph's method; see the module.

    Attributes:
        model: the diffusion model.
    """

    def __init__(self, config: FreeMorphConfig) -> None:
        self.model = config.model.load()
        self._config = config
        self._segmenter = None if config.segmenter is None else config.segmenter.build()
        self._batches: Batches[float] = Batches(config.alphas_at_once, LESS_MEMORY)

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        """See `Morpher.morph`.

        Raises:
            ValueError: see there.
            GenerationError: out of memory with a single picture, or the latents are not finite.
        """
        check_ends(first, second, positions)
        start, calls, rows = time.perf_counter(), self.model.unet_calls, self.model.unet_rows
        positions = [float(t) for t in positions]
        between = sorted({t for t in positions if 0 < t < 1})
        inner: dict[float, Picture] = {}
        if between:
            ends = tuple(self.model.encode(end.image[None])[0][0] for end in (first, second))
            size = first.image.shape[0], first.image.shape[1]

            def render(part: Sequence[float]) -> list[Picture]:
                return self.model.decode(self._latents(ends[0], ends[1], part)[1:-1], size)

            inner = dict(zip(between, rendered(self._batches, between, render), strict=True))
        cost = MorphCost(
            self.model.unet_calls - calls, self.model.unet_rows - rows, seconds=time.perf_counter() - start
        )
        return morph_of(first, second, positions, inner, self._segmenter, cost)

    def reproduced(self, end: MorphEnd) -> Picture:
        """Picture [h, w, 3] of the end after VAE and both ways: what of it the model keeps."""
        latent = self.model.encode(end.image[None])[0][0]
        return self.model.decode(self._latents(latent, latent, [])[:1], (end.image.shape[0], end.image.shape[1]))[0]

    def _latents(self, first: Tensor, second: Tensor, positions: Sequence[float]) -> Tensor:
        """Latents [2 + m, c, h, w]: the first end, those between, the second end."""
        config = self._config
        walked = round(config.steps * config.strength)
        text, attending = self.model.text(config.prompt), Attending()
        up, down = (_schedule(attending, positions, walked, table) for table in (_up(config), _down(config)))
        latents = torch.cat([first[None], slerp(first, second, positions), second[None]])
        with processors(self.model.unet, self_attention, lambda _, ordinary: AttentionToEnds(ordinary, attending)):
            noisy = invert(self.model, latents, text, config.steps, until=walked, on=up)
            noisy[1:-1] = keep_low_frequencies(noisy[1:-1], self._noise(first), config.kept_frequencies)
            return sample(self.model, noisy, text, config.steps, first=config.steps - walked, on=down)

    def _noise(self, like: Tensor) -> Tensor:
        generator = torch.Generator("cpu").manual_seed(self._config.seed)
        return torch.randn(like.shape, generator=generator).to(like)


_Shares = Callable[[float], tuple[float, float, float]]
"""From α to how much is attended to the first end, oneself and the second end."""

_Table = tuple[tuple[float, _Shares | None], ...]
"""Until which share of the steps what is attended to; None is oneself alone."""


def _up(config: FreeMorphConfig) -> _Table:
    own, guided = config.up
    return (
        (own, None),
        (guided, lambda t: (1 / 2, 0.0, 1 / 2)),
        (1.0, lambda t: (1 / 3, 1 / 3, 1 / 3)),
    )


def _down(config: FreeMorphConfig) -> _Table:
    trend, blended = config.down
    return (
        (trend, lambda t: (1 - t, 0.0, t)),
        (blended, lambda t: ((1 - t) / 2, 1 / 2, t / 2)),
        (1.0, None),
    )


def _schedule(attending: Attending, positions: Sequence[float], walked: int, table: _Table) -> Callable[[int], None]:
    """What to do before each step: set who attends to whom."""

    def on_step(number: int) -> None:
        shares = next(shares for until, shares in table if number < until * walked or until >= 1)
        if shares is None or not positions:
            attending.set(None)
            return
        alone = (0.0, 1.0, 0.0)
        attending.set(torch.tensor([alone, *(shares(t) for t in positions), alone]))

    return on_step
