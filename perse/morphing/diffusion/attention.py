"""Attention processors of diffusers by which self-attention looks at other pictures than its own.

The processors of a UNet are exchanged for the duration of a `with` and put back, whatever happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Features = Mapping[str, Tensor]
"""By attention layer, what it gets as input: [b, tokens, channels]."""


@contextmanager
def processors(unet: Any, chosen: Callable[[str], bool], processor: Callable[[str, Any], Any]) -> Iterator[None]:
    """Exchange the processors of the chosen layers.

    Args:
        chosen: of a layer's name, such as ``up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor``.
        processor: makes the new one from the layer's name and the present one.
    """
    before = unet.attn_processors
    unet.set_attn_processor({n: processor(n, old) if chosen(n) else old for n, old in before.items()})
    try:
        yield
    finally:
        unet.set_attn_processor(before)


def decoder_self_attention(name: str) -> bool:
    """Whether a layer is one in which DiffMorpher interpolates: self-attention of the ``up`` blocks."""
    return name.startswith("up_blocks.") and name.endswith("attn1.processor")


def self_attention(name: str) -> bool:
    """Whether a layer is self-attention."""
    return name.endswith("attn1.processor")


@dataclass
class AttentionInputs:
    """Inputs of the exchanged layers: what they take K and V from, and what they saw.

    Attributes:
        given: instead of a layer's own input; a layer that is not in there attends to itself.
        seen: each layer's own input of the last call.
    """

    given: Features = field(default_factory=dict)
    seen: dict[str, Float[Tensor, "_ _ _"]] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyValueInput:
    """A processor that takes K and V from the features it is given (D 4.2), and notes its own."""

    name: str
    ordinary: Any
    inputs: AttentionInputs
    noting: bool

    def __call__(
        self, attn: Any, hidden_states: Float[Tensor, "b n c"], *args: Any, **others: Any
    ) -> Float[Tensor, "b n c"]:
        if self.noting:
            self.inputs.seen[self.name] = hidden_states
        given = self.inputs.given.get(self.name)
        if given is not None:
            others["encoder_hidden_states"], args = given, ()
        result: Tensor = self.ordinary(attn, hidden_states, *args, **others)
        return result


@dataclass
class Attending:
    """Weights by which each row attends to the first row, to itself and to the last row.

    Attributes:
        columns: for each of the three the rows that do and their shares; empty where attention is as ever.
    """

    columns: tuple[tuple[Int[Tensor, " _"], Float[Tensor, " _"]], ...] = ()

    def set(self, weights: Float[Tensor, "b 3"] | None) -> None:
        """Weights [b, 3] that sum to one; None leaves attention alone."""
        self.columns = ()
        if weights is not None:
            rows = [torch.nonzero(column)[:, 0] for column in weights.unbind(1)]
            self.columns = tuple((row, column[row]) for row, column in zip(rows, weights.unbind(1), strict=True))


@dataclass(frozen=True)
class AttentionToEnds:
    """A processor whose output is a weighted mean of attention to the batch's first row, to oneself and to the last.

    Three separate softmaxes, whose outputs are mixed: one softmax over all tokens would let the more similar end win.
    """

    ordinary: Any
    attending: Attending

    def __call__(
        self, attn: Any, hidden_states: Float[Tensor, "b n c"], *args: Any, **others: Any
    ) -> Float[Tensor, "b n c"]:
        if not self.attending.columns:
            result: Tensor = self.ordinary(attn, hidden_states, *args, **others)
            return result
        q, k, v = (_heads(layer(hidden_states), attn.heads) for layer in (attn.to_q, attn.to_k, attn.to_v))
        mixed = torch.zeros_like(q)
        for whom, (rows, shares) in zip((0, None, -1), self.attending.columns, strict=True):
            if len(rows):
                looked_at = rows if whom is None else torch.full_like(rows, whom)
                seen = F.scaled_dot_product_attention(q[rows], k[looked_at], v[looked_at])
                mixed[rows] += shares[:, None, None, None].to(q) * seen
        output: Tensor = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))
        if attn.residual_connection:
            output = output + hidden_states
        return output / float(attn.rescale_output_factor)


def _heads(values: Tensor, heads: int) -> Tensor:
    """[b, tokens, channels] as [b, heads, tokens, channels a head]."""
    return values.unflatten(2, (heads, -1)).transpose(1, 2)
