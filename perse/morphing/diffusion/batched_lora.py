"""LoRA with another adapter for every row of a batch: all α of a pair in a single call of the UNet.

    row i:  y = W x + B_i (A_i x)

W is read once for all rows; the products with rank 16 are small beside it. peft can give rows different adapters too,
but runs them one group after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from perse.errors import MissingWeightsError
from perse.morphing.diffusion.adapters import DOWN, UP, Adapter, lerp_adapters


@dataclass(frozen=True)
class RowAdapters:
    """Adapters of the rows of a batch.

    Attributes:
        factors: by layer, A [b, rank, in] and B [b, out, rank].
    """

    factors: dict[str, tuple[Float[Tensor, "b rank _"], Float[Tensor, "b _ rank"]]]

    @classmethod
    def of(cls, adapters: Sequence[Adapter], dtype: torch.dtype) -> RowAdapters:
        """One adapter a row."""

        def stacked(name: str) -> Tensor:
            return torch.stack([adapter.tensors[name] for adapter in adapters]).to(dtype)

        return cls({layer: (stacked(layer + DOWN), stacked(layer + UP)) for layer in adapters[0].layers})

    @classmethod
    def between(cls, first: Adapter, second: Adapter, positions: Sequence[float], dtype: torch.dtype) -> RowAdapters:
        """The adapters at positions between two (P A.2.1)."""
        return cls.of([lerp_adapters(first, second, t) for t in positions], dtype)


@contextmanager
def adapted(unet: nn.Module, rows: RowAdapters) -> Iterator[None]:
    """Let the rows of every batch pass through their own adapters; afterwards the UNet is what it was.

    Raises:
        MissingWeightsError: the adapters were trained on another UNet.
    """
    hooks = []
    try:
        for layer, factors in rows.factors.items():
            hooks.append(_linear(unet, layer, factors).register_forward_hook(_addition(factors)))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _linear(unet: nn.Module, layer: str, factors: tuple[Tensor, Tensor]) -> nn.Module:
    try:
        module = unet.get_submodule(layer)
    except AttributeError:
        module = None
    wanted = factors[1].shape[1], factors[0].shape[2]
    if not isinstance(module, nn.Linear) or tuple(module.weight.shape) != wanted:
        found = "no such layer" if module is None else f"{tuple(getattr(module, 'weight', torch.empty(0)).shape)}"
        raise MissingWeightsError(
            f"the adapter belongs to another UNet: its {layer} is {wanted}, the checkpoint has {found}; "
            "train the adapters with these weights"
        )
    return module


def _addition(factors: tuple[Tensor, Tensor]) -> Any:
    down, up = (factor.transpose(1, 2) for factor in factors)  # [b, in, rank], [b, rank, out]

    def add(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return output + (inputs[0] @ down) @ up

    return add
