"""Sparse torch tensors, without torch's remarks on how new they are."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor

_REMARKS = ("Sparse CSR tensor support is in beta", "Sparse invariant checks are implicitly disabled")


def csr_tensor(
    rows: Int[Tensor, " _"], columns: Int[Tensor, " e"], values: Float[Tensor, " e"], size: tuple[int, int]
) -> Float[Tensor, "_ _"]:
    """A matrix of that size in torch's CSR layout.

    Args:
        rows: [size[0] + 1] int64, where each row begins among the values.
        columns: [e] int64; values: [e].
    """
    for remark in _REMARKS:
        warnings.filterwarnings("ignore", message=remark, category=UserWarning)
    return torch.sparse_csr_tensor(rows, columns, values, size)
