"""Sparse matrices."""

from __future__ import annotations

import warnings

import torch

from perse.geometry.sparse_tensors import csr_tensor


def test_it_is_the_matrix_and_nobody_reads_a_warning() -> None:
    with warnings.catch_warnings(record=True) as said:
        found = csr_tensor(torch.tensor([0, 1, 1, 3]), torch.tensor([1, 0, 1]), torch.tensor([2.0, 3.0, 4.0]), (3, 2))
    assert not said
    assert found.to_dense().tolist() == [[0.0, 2.0], [0.0, 0.0], [3.0, 4.0]]
