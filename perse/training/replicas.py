"""Replicas of an avatar that are trained together, and everything on which they must agree.

Each worker of a distributed run has a replica of its own, on its own device, and looks at its own frames. What decides
about *structure* (which points are added or removed, which step is skipped) is decided once and handed to all, since
two workers' floating point numbers may differ in their last bit and a threshold does not forgive that.

Gradients are averaged in one of two ways. Where every step reaches the same parameters (the `networks` decoder), by
torch's `DistributedDataParallel`: buckets, sent while the backward pass still runs. Where the parameters change from
step to step (part bases: only the categories that were drawn), by `average_gradients`: a basis that nobody drew must
stay without a gradient on every worker, so that Adam treats it as one worker alone would, and DDP cannot say "none".

A step's batch has a fixed number of shares, one for each worker that the recipe asks for. Where fewer workers are left,
some compute several shares one after the other and add up their gradients, so that a step is the same step, and slower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from perse.errors import StageError
from perse.training.reduction import average_gradients

Forward = Callable[[], Float[Tensor, ""]]
"""Computes a scalar loss with the replica's module."""


class Replicas(Protocol):
    """Place of this worker among the replicas, and their agreements. Every method is called by all at the same time."""

    @property
    def rank(self) -> int:
        """Number of this worker, from 0."""
        ...

    @property
    def world(self) -> int:
        """Number of workers."""
        ...

    @property
    def shares(self) -> tuple[int, ...]:
        """Numbers of those shares of a step's batch that this worker computes."""
        ...

    @property
    def n_shares(self) -> int:
        """Number of shares of a batch."""
        ...

    def backward(self, module: nn.Module, forwards: Sequence[Forward], pattern: Hashable | None) -> Float[Tensor, ""]:
        """Run a forward and a backward pass for each share; the module's gradients are then means over all shares.

        Args:
            forwards: the loss of each of this worker's shares.
            pattern: equal values promise that the same parameters get gradients; None promises nothing.

        Returns:
            The mean loss of this worker's shares, detached.
        """
        ...

    def maximum(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Elementwise maximum over the replicas."""
        ...

    def from_first(self, make: Callable[[], Sequence[Shaped[Tensor, "..."]]]) -> list[Shaped[Tensor, "..."]]:
        """Value that rank 0 makes, on every rank. Tensors of any sizes; `make` runs on rank 0 only."""
        ...

    def check_equal(self, digest: str, what: str) -> None:
        """Compare a digest over the replicas.

        Raises:
            StageError: the replicas' digests differ.
        """
        ...


class SingleReplica:
    """A training by one worker alone."""

    rank = 0
    world = 1

    def __init__(self, n_shares: int = 1) -> None:
        """
        Args:
            n_shares: of the batch, all of which are this worker's.
        """
        self.n_shares = n_shares
        self.shares = tuple(range(n_shares))

    def backward(self, module: nn.Module, forwards: Sequence[Forward], pattern: Hashable | None) -> Float[Tensor, ""]:
        loss = _summed(forwards)
        if self.n_shares > 1:
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.grad /= self.n_shares
        return loss

    def maximum(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        return values

    def from_first(self, make: Callable[[], Sequence[Shaped[Tensor, "..."]]]) -> list[Shaped[Tensor, "..."]]:
        return list(make())

    def check_equal(self, digest: str, what: str) -> None:
        """Do nothing: one alone agrees with itself."""


class DistributedReplicas:
    """Replicas in the default process group of `torch.distributed`, gloo on CPUs and NCCL on GPUs."""

    def __init__(self, n_shares: int | None = None) -> None:
        """
        Args:
            n_shares: of the batch, at least as many as workers; None is one for each.
        """
        self.rank: int = dist.get_rank()
        self.world: int = dist.get_world_size()
        self.n_shares: int = self.world if n_shares is None else n_shares
        self.shares = tuple(range(self.rank, self.n_shares, self.world))
        self._parallel: DistributedDataParallel | None = None
        self._key: Hashable = None

    def backward(self, module: nn.Module, forwards: Sequence[Forward], pattern: Hashable | None) -> Float[Tensor, ""]:
        if pattern is None or self.n_shares != self.world:
            loss = _summed(forwards)
            average_gradients([p for p in module.parameters() if p.numel()], self.n_shares)
            return loss
        (forward,) = forwards
        loss = self._wrapped(module, pattern)(forward)
        loss.backward()
        return loss.detach()

    def _wrapped(self, module: nn.Module, pattern: Hashable) -> DistributedDataParallel:
        """The module in DDP. Made anew when its parameters are others (densification) or its pattern is."""
        parameters = tuple(id(p) for p in module.parameters())
        if self._parallel is None or self._key != (parameters, pattern):
            device = next(module.parameters()).device
            self._parallel = DistributedDataParallel(
                _Called(module),
                device_ids=[device] if device.type == "cuda" else None,
                broadcast_buffers=False,  # they are equal, and 100 MB at the paper's sizes
                gradient_as_bucket_view=True,
                static_graph=True,
            )
            self._key = (parameters, pattern)
        return self._parallel

    def maximum(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        largest = values.clone()
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return largest

    def from_first(self, make: Callable[[], Sequence[Shaped[Tensor, "..."]]]) -> list[Shaped[Tensor, "..."]]:
        made: list[list[Tensor] | None] = [[t.cpu() for t in make()] if self.rank == 0 else None]
        dist.broadcast_object_list(made, src=0)
        assert made[0] is not None
        return made[0]

    def check_equal(self, digest: str, what: str) -> None:
        digests: list[str] = [""] * self.world
        dist.all_gather_object(digests, digest)
        if len(set(digests)) > 1:
            odd = [rank for rank, other in enumerate(digests) if other != digests[0]]
            raise StageError(
                f"{what} of training workers {odd} differ from worker 0's; the last checkpoint is good: run the same "
                "command again, and if it happens again look for a faulty device"
            )


def _summed(forwards: Sequence[Forward]) -> Tensor:
    """Gradients of all losses added up; returns the losses' mean."""
    losses = []
    for forward in forwards:
        loss = forward()
        loss.backward()
        losses.append(loss.detach())
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()


class _Called(nn.Module):
    """A module whose forward pass is a function that uses it, as DDP wants one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, work: Forward) -> Tensor:
        return work()


def parameter_digest(module: nn.Module) -> str:
    """A short digest of all parameters, equal exactly if they are, to the bit."""
    digest = hashlib.sha256()
    for name, value in module.named_parameters():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
