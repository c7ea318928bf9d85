"""Averaging gradients: what nobody drew stays without a gradient, what one worker drew counts for all.

Two threads and a stand-in for the collectives; real process groups are the distributed run's own test.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from perse.training import reduction


class Meeting:
    """all_reduce among threads."""

    def __init__(self, world: int) -> None:
        self._barrier, self._brought = threading.Barrier(world), {}  # type: ignore[var-annotated]
        self.world = world

    def all_reduce(self, tensor: Tensor, op: Any) -> None:
        self._brought[threading.get_ident()] = tensor.clone()
        self._barrier.wait()
        stacked = torch.stack(list(self._brought.values()))
        tensor.copy_(stacked.sum(0) if op == dist.ReduceOp.SUM else stacked.amax(0))
        self._barrier.wait()
        self._brought.clear()
        self._barrier.wait()


def test_two_workers_end_with_the_same_mean(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    meeting = Meeting(2)
    fake = SimpleNamespace(all_reduce=meeting.all_reduce, get_world_size=lambda: 2, ReduceOp=dist.ReduceOp)
    monkeypatch.setattr(reduction, "dist", fake)

    def work(rank: int) -> list[Tensor | None]:
        parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
        parameters[0].grad = torch.full((2,), 1.0 + rank)
        if rank == 1:
            parameters[1].grad = torch.full((2,), 8.0)
        reduction.average_gradients(parameters)
        return [p.grad for p in parameters]

    with ThreadPoolExecutor(2) as pool:
        for gradients in pool.map(work, range(2)):
            assert torch.equal(gradients[0], torch.full((2,), 1.5))
            assert torch.equal(gradients[1], torch.full((2,), 4.0))
            assert gradients[2] is None
