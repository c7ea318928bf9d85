"""DiffMorpher (Zhang et al. 2023, arXiv 2312.07409), the paper's teacher (P A.2.1, Eq. 32–33).

For each end, once per (subject, frame), with the subject's adapter:

    image ─ VAE ─► latent ─ DDIM inversion ─► noise ─ DDIM, first 60 % of the steps ─► inputs of self-attention

For a pair, all α in one batch:

    noise_a, noise_b ─ slerp, AdaIN ─► noise_α ─ DDIM with the adapter (1 − α) Δ_a + α Δ_b ─► latent ─ VAE ─► picture
                                          └ during the first 60 % of the steps K and V of the UNet's ``up`` blocks come
                                            from (1 − α) h_a + α h_b

What is kept of an end does not depend on the other one, and is computed alone: whether it was remembered or made anew,
and with whom it is paired, changes no bit of the result. The cost of a pair is 50 calls of the UNet, and of an end 80,
which all its pairs in that frame share.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from perse.errors import GenerationError
from perse.morphing.bounded_cache import BoundedCache
from perse.morphing.diffusion.adapters import Adapter, load_adapter
from perse.morphing.diffusion.attention import AttentionInputs, KeyValueInput, decoder_self_attention, processors
from perse.morphing.diffusion.batched_lora import RowAdapters, adapted
from perse.morphing.diffusion.ddim import invert, sample
from perse.morphing.diffusion.latents import adain, slerp
from perse.morphing.generated import LESS_MEMORY, morph_of, rendered
from perse.morphing.morpher import FrameOrigin, Morph, MorphCost, MorphEnd, check_ends
from perse.morphing.reschedule import RescheduleConfig, even_positions
from perse.morphing.subject_lora import SubjectLoraConfig
from perse.shapes import Picture
from perse.synthesis.production.generation import Batches, free_memory, out_of_memory
from perse.synthesis.production.segmenter import SegmenterConfig


@dataclass(frozen=True, kw_only=True)
class DiffMorpherConfig:
    """Numbers of DiffMorpher, and how much an actor remembers."""

    version: int = 1
    """Part of content keys: changes whenever the pictures do."""
    lora: SubjectLoraConfig = field(default_factory=SubjectLoraConfig)
    """The subjects' adapters, and the model they adapt."""
    steps: int = 50
    """Of DDIM, in both directions."""
    attention_share: float = 0.6
    """Of the steps, from the noisy end, in which self-attention is interpolated."""
    alphas_at_once: int = 8
    """Pictures of a pair in one batch; halved when memory does not suffice."""
    reschedule: RescheduleConfig | None = None
    """Even out the pace of the pictures, which costs a second rendering; None takes α as asked for."""
    segmenter: SegmenterConfig | None = None
    """Finds person and edited part in the pictures (M_part of Eq. 39); None grows one end's masks into the other's."""
    ends_mib: int = 8192
    """Inversions and attention inputs that are kept, on the device: about 400 MiB an end at 512 pixels."""
    adapters_mib: int = 1024
    """Adapters that are kept, on the device: about 13 MiB each with Stable Diffusion 2.1."""

    def __post_init__(self) -> None:
        if not (self.steps >= 2 and 0 <= self.attention_share <= 1 and self.alphas_at_once >= 1):
            raise ValueError(f"steps and alphas_at_once must be positive, attention_share a share; got {self}")

    def check(self) -> None:
        """Refuse weights of another kind before anything is loaded.

        Raises:
            MissingWeightsError: they are not here, or are of another kind.
        """
        self.lora.model.check_weights()

    def build(self) -> DiffMorpher:
        """Morpher with its model in memory.

        Raises:
            MissingWeightsError: the model's weights are not here, or are of another kind.
        """
        return DiffMorpher(self)


@dataclass(frozen=True)
class _Pivot:
    """What is kept of an end.

    Attributes:
        noise: [c, h, w] float32, which the subject's model turns into the picture.
        features: of the first steps, what the ``up`` blocks' self-attention got: by layer [1, tokens, channels].
    """

    noise: Float[Tensor, "c h w"]
    features: tuple[dict[str, Float[Tensor, "1 _ _"]], ...]

    @property
    def n_bytes(self) -> int:
        return self.noise.nbytes + sum(tensor.nbytes for step in self.features for tensor in step.values())


class DiffMorpher:
    """Morpher by DiffMorpher's method; see the module.

    Attributes:
        model: the diffusion model.
    """

    def __init__(self, config: DiffMorpherConfig) -> None:
        self.model = config.lora.model.load()
        self._config = config
        self._segmenter = None if config.segmenter is None else config.segmenter.build()
        self._distance = None if config.reschedule is None else config.reschedule.build()
        self._key = lru_cache(maxsize=4096)(config.lora.key)
        self._batches: Batches[float] = Batches(config.alphas_at_once, LESS_MEMORY)
        self._pivots: BoundedCache[_Pivot] = BoundedCache(config.ends_mib, lambda pivot: pivot.n_bytes)
        self._adapters: BoundedCache[Adapter] = BoundedCache(config.adapters_mib, lambda adapter: adapter.n_bytes)

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        """See `Morpher.morph`.

        Raises:
            ValueError: see there; or an end without an origin.
            MissingWeightsError: a subject has no adapter, or one of another UNet.
            GenerationError: out of memory with a single picture, or the latents are not finite.
        """
        check_ends(first, second, positions)
        before, found, made = self._count(), self._pivots.found, self._pivots.made
        start = time.perf_counter()
        positions = [float(t) for t in positions]
        inner = {t: image for t, image in self._inner(first, second, positions).items() if t in positions}
        if self._distance is not None:
            positions = self._even(first, second, positions, inner)
            inner |= self._inner(first, second, [t for t in positions if t not in inner])
        calls, rows = (after - b for after, b in zip(self._count(), before, strict=True))
        cost = MorphCost(calls, rows, self._pivots.found - found, self._pivots.made - made, time.perf_counter() - start)
        return morph_of(first, second, positions, inner, self._segmenter, cost)

    def reproduced(self, end: MorphEnd) -> Picture:
        """Picture [h, w, 3] of the end after VAE, inversion and sampling: what of it the model keeps."""
        adapter, pivot = self._adapter(_origin(end)), self._pivot(end)
        with adapted(self.model.unet, RowAdapters.of([adapter], self.model.dtype)):
            latents = sample(self.model, pivot.noise[None], self._text, self._config.steps)
        return self.model.decode(latents, _size(end))[0]

    def _inner(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> dict[float, Picture]:
        """Pictures at the positions that are neither 0 nor 1."""
        between = sorted({t for t in positions if 0 < t < 1})
        if not between:
            return {}
        pivots = self._pivot(first), self._pivot(second)
        adapters = self._adapter(_origin(first)), self._adapter(_origin(second))

        def render(part: Sequence[float]) -> list[Picture]:
            return self.model.decode(self._latents(pivots, adapters, part), _size(first))

        return dict(zip(between, rendered(self._batches, between, render), strict=True))

    def _latents(
        self, pivots: tuple[_Pivot, _Pivot], adapters: tuple[Adapter, Adapter], positions: Sequence[float]
    ) -> Tensor:
        """Latents [m, c, h, w] between two ends, in one batch."""
        noises = pivots[0].noise, pivots[1].noise
        noise = adain(slerp(*noises, positions), *noises, positions)
        inputs = AttentionInputs()

        def on_step(number: int) -> None:
            both = tuple(pivot.features[number] if number < len(pivot.features) else {} for pivot in pivots)
            inputs.given = {name: _lerp(both[0][name], both[1][name], positions) for name in both[0]}

        rows = RowAdapters.between(*adapters, positions, self.model.dtype)
        with adapted(self.model.unet, rows), self._exchanged(inputs, noting=False):
            return sample(self.model, noise, self._text, self._config.steps, on=on_step)

    def _pivot(self, end: MorphEnd) -> _Pivot:
        origin = _origin(end)
        key = f"{self._key(origin.clip)}/{origin.frame_number}"
        make: Callable[[], _Pivot] = lambda: self._inverted(end, self._adapter(origin))  # noqa: E731
        try:
            return self._pivots.get(key, make)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        self._pivots.clear()  # what is remembered can be made again
        free_memory()
        try:
            return self._pivots.get(key, make)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        free_memory()
        raise GenerationError(f"out of memory while inverting a single picture: {LESS_MEMORY}")

    def _inverted(self, end: MorphEnd, adapter: Adapter) -> _Pivot:
        """An end's noise, and what attention saw on the way back. Alone in its batch, so that it depends on itself."""
        config, inputs = self._config, AttentionInputs()
        latents, _ = self.model.encode(end.image[None])
        seen: list[dict[str, Tensor]] = []

        def on_step(number: int) -> None:
            if number:
                seen.append(dict(inputs.seen))

        recorded = math.ceil(config.attention_share * config.steps)
        with adapted(self.model.unet, RowAdapters.of([adapter], self.model.dtype)):
            noise = invert(self.model, latents, self._text, config.steps)
            if recorded:
                with self._exchanged(inputs, noting=True):
                    sample(self.model, noise, self._text, config.steps, last=recorded, on=on_step)
                seen.append(dict(inputs.seen))
        if not torch.isfinite(noise).all():
            raise GenerationError(
                "inverting a picture gave NaN: half precision overflowed, or the subject's adapter diverged; "
                'use precision="float32", or delete the adapter and train it again'
            )
        return _Pivot(noise[0], tuple(seen))

    def _adapter(self, origin: FrameOrigin) -> Adapter:
        key = self._key(origin.clip)
        return self._adapters.get(key, lambda: load_adapter(origin.workspace, key, origin.clip).to(self.model.device))

    def _exchanged(self, inputs: AttentionInputs, *, noting: bool) -> AbstractContextManager[None]:
        if not self._config.attention_share:
            return nullcontext()
        return processors(
            self.model.unet,
            decoder_self_attention,
            lambda name, ordinary: KeyValueInput(name, ordinary, inputs, noting),
        )

    def _even(
        self, first: MorphEnd, second: MorphEnd, positions: list[float], inner: dict[float, Picture]
    ) -> list[float]:
        assert self._distance is not None
        known = sorted({0.0, 1.0, *inner})
        pictures = {0.0: first.image, 1.0: second.image} | inner
        distances = [self._distance(pictures[a], pictures[b]) for a, b in pairwise(known)]
        return even_positions(known, distances, positions)

    @property
    def _text(self) -> Tensor:
        """Both ends are called the same (P A.2.2), so their embeddings' lerp is this."""
        return self.model.text(self._config.lora.prompt)

    def _count(self) -> tuple[int, int]:
        return self.model.unet_calls, self.model.unet_rows


def _lerp(first: Tensor, second: Tensor, positions: Sequence[float]) -> Tensor:
    """Features [m, tokens, channels] between two of [1, tokens, channels]."""
    t = torch.tensor(positions, dtype=first.dtype, device=first.device)[:, None, None]
    return torch.lerp(first, second, t)


def _origin(end: MorphEnd) -> FrameOrigin:
    if end.origin is None:
        raise ValueError("DiffMorpher must know which subject an end shows: give MorphEnd an origin")
    return end.origin


def _size(end: MorphEnd) -> tuple[int, int]:
    return end.image.shape[0], end.image.shape[1]
