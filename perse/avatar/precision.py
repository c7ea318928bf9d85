"""Arithmetic precision of the networks. Geometry and colours outside of them are always float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import torch

Precision = Literal["float32", "tf32", "bf16"]
"""``tf32``: float32 numbers, products of ten bits' mantissa on CUDA devices that have them, nothing elsewhere.
``bf16``: numbers and products of eight bits inside the networks; parameters, inputs and outputs stay float32."""


def network_arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Context of a network's layers: the precision of their products."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def matmul_arithmetic(precision: Precision) -> Iterator[None]:
    """Context of a whole step, forward and backward. TF32 is a property of the process, which gets its own back."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
