"""Reference attention: features of the portrait for every self-attention of the denoiser.

The reference UNet sees the portrait once, without noise. What enters each of its self-attentions is kept, and the
self-attention at the same place in the denoiser looks at it beside its own picture: keys and values are
[own, reference] (P A.3.2; Champ's "full" reference attention).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

ReferenceFeatures = Mapping[str, Tensor]
"""By the name of the self-attention, [b, tokens, channels]."""


def self_attentions(unet: nn.Module) -> Iterator[tuple[str, Any]]:
    """Spatial self-attentions by name; those of motion modules look along time and are left alone."""
    for name, module in unet.named_modules():
        if name.endswith(".attn1") and "motion_modules" not in name:
            yield name, module


class ReferenceWriter:
    """Recorder of what enters the self-attentions of a UNet."""

    def __init__(self, unet: nn.Module) -> None:
        self._features: dict[str, Tensor] = {}
        for name, attention in self_attentions(unet):
            attention.set_processor(_Writing(name, self._features))

    def taken(self) -> ReferenceFeatures:
        """Features that the last pass left; they are forgotten here."""
        features = dict(self._features)
        self._features.clear()
        return features


class ReferenceReader:
    """Feeder of reference features to the self-attentions of a UNet, until told otherwise.

    They stay set after a forward pass, because gradient checkpointing runs it a second time during the backward pass.
    """

    def __init__(self, unet: nn.Module) -> None:
        self._processors = {}
        for name, attention in self_attentions(unet):
            self._processors[name] = processor = _Reading()
            attention.set_processor(processor)

    def show(self, features: ReferenceFeatures | None, frames: int) -> None:
        """Set the features that self-attentions look at.

        Args:
            features: of the portraits; None: every picture looks at itself alone (the unconditional pass).
            frames: pictures of one portrait that follow each other in the batch.
        """
        for name, processor in self._processors.items():
            processor.features = features[name] if features is not None else None
            processor.frames = frames


class _Writing:
    """Attention processor: plain self-attention that keeps its input."""

    def __init__(self, name: str, features: dict[str, Tensor]) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0

        self._name, self._features, self._plain = name, features, AttnProcessor2_0()

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: None = None,
                 attention_mask: Tensor | None = None) -> Tensor:  # fmt: skip
        self._features[self._name] = hidden_states
        return self._plain(attn, hidden_states, None, attention_mask)


class _Reading:
    """Attention processor: keys and values from the picture itself and from its reference."""

    def __init__(self) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0

        self._plain = AttnProcessor2_0()
        self.features: Tensor | None = None
        self.frames = 1

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: None = None,
                 attention_mask: Tensor | None = None) -> Tensor:  # fmt: skip
        if self.features is None:
            return self._plain(attn, hidden_states, None, attention_mask)
        reference = self.features.repeat_interleave(self.frames, 0)
        domains = len(hidden_states) // len(reference)  # both domains in one batch where they share the trunk
        seen = torch.cat([hidden_states, reference.repeat(domains, 1, 1).to(hidden_states)], 1)
        return self._plain(attn, hidden_states, seen, attention_mask)
