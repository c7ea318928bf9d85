"""Averaging gradients over the workers of a distributed run.

For decoders whose parameters are not all reached by every step; `perse.training.replicas` says why.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import nn


def average_gradients(parameters: Sequence[nn.Parameter], shares: int | None = None) -> None:
    """Replace gradients by their mean over all workers of the default process group, in two collectives.

    A parameter counts with zero where a worker has no gradient, and keeps none where nobody has one.

    Args:
        shares: of the batch in all workers' sums; None is one of each worker.
    """
    drawn = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device)
    dist.all_reduce(drawn, op=dist.ReduceOp.MAX)
    touched = [p for p, somebody in zip(parameters, drawn.tolist(), strict=True) if somebody]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in touched]
    joined = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(joined, op=dist.ReduceOp.SUM)
    joined /= shares or dist.get_world_size()
    pieces = joined.split([p.numel() for p in touched])
    for parameter, piece in zip(touched, pieces, strict=True):
        parameter.grad = piece.view_as(parameter)
