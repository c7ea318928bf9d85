"""Sharing of the weights between the workers of a training: each holds all of them, or each a part (FSDP2).

All workers' gradients are averaged either way, and the steps are the same up to rounding. Whole weights are simpler and
send less; parts let networks train whose weights, gradients, averages and moments do not fit into one GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from perse.synthesis.production.portrait_champ.networks import ChampNetworks

Forward = Callable[[], Float[Tensor, ""]]
"""Computes the loss."""

Backward = Callable[[nn.Module, Forward], None]
"""A forward and a backward pass; afterwards the module's gradients are means over all workers."""


class Sharing(Protocol):
    """Way of sharing weights. Every method is called by all workers at the same time."""

    @property
    def rank(self) -> int:
        """Number of this worker, from 0."""
        ...

    def spread(self, networks: ChampNetworks) -> None:
        """Divide the weights, before anybody keeps parameters of these networks."""
        ...

    def backward(self, networks: ChampNetworks, forward: Forward) -> None:
        """A forward and a backward pass; gradients are then means over all workers."""
        ...

    def total(self, norm: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Norm of all gradients, from what `clip_grad_norm_` returned."""
        ...

    def settle(self, networks: ChampNetworks) -> None:
        """Forget copies of what weights were before they were written to."""
        ...

    def whole(self, value: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Tensor joined from its parts, on worker 0; the others only give theirs."""
        ...

    def part(self, whole: Shaped[Tensor, "..."], like: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Part of a tensor that this worker holds, divided as another one is."""
        ...


def _alone(module: nn.Module, forward: Forward) -> None:
    forward().backward()


class WholeWeights:
    """Sharing in which every worker holds all weights. By default there is one worker.

    Args:
        backward: averages gradients over the workers, too.
    """

    def __init__(self, rank: int = 0, backward: Backward = _alone) -> None:
        self.rank, self._backward = rank, backward

    def spread(self, networks: ChampNetworks) -> None:
        """Do nothing: every worker holds all."""

    def backward(self, networks: ChampNetworks, forward: Forward) -> None:
        self._backward(networks, forward)

    def total(self, norm: Float[Tensor, ""]) -> Float[Tensor, ""]:
        return norm

    def settle(self, networks: ChampNetworks) -> None:
        """Do nothing: there are no copies."""

    def whole(self, value: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        return value

    def part(self, whole: Shaped[Tensor, "..."], like: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        return whole


class ShardedWeights:
    """Sharing in which every worker of the default process group holds a part of every weight, of its gradient, average
    and moments.

    A block's weights are gathered when it is run and let go afterwards (torch's `fully_shard`).

    Args:
        device: where this worker's parts are.
    """

    def __init__(self, device: torch.device) -> None:
        import torch.distributed as dist
        from torch.distributed.device_mesh import init_device_mesh

        self.rank: int = dist.get_rank()
        self._mesh = init_device_mesh(device.type, (dist.get_world_size(),))

    def spread(self, networks: ChampNetworks) -> None:
        from torch.distributed.fsdp import fully_shard

        # FSDP learns from a block's output that the backward pass has reached it. Nobody uses the output of the
        # reference UNet's last block (its features are taken inside), so that one is gathered with what is around it.
        *looked_at, _ = _blocks(networks.reference)
        for block in [*looked_at, *_denoising(networks)]:
            fully_shard(block, mesh=self._mesh)
        for network in (networks.reference, networks.denoiser, networks.guidance):
            fully_shard(network, mesh=self._mesh, reshard_after_forward=False)

    def backward(self, networks: ChampNetworks, forward: Forward) -> None:
        forward().backward()

    def total(self, norm: Float[Tensor, ""]) -> Float[Tensor, ""]:
        from torch.distributed.tensor import DTensor

        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def settle(self, networks: ChampNetworks) -> None:
        from torch.distributed.fsdp import FSDPModule

        for module in networks.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def whole(self, value: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        from torch.distributed.tensor import DTensor

        if not isinstance(value, DTensor):
            return value
        gathered = value.full_tensor()
        return gathered.cpu() if self.rank == 0 else gathered.new_empty(0)

    def part(self, whole: Shaped[Tensor, "..."], like: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(like, DTensor), "all parameters were spread"
        if whole.shape != like.shape:  # Adam's count of steps
            return whole
        return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _blocks(unet: nn.Module) -> Iterator[nn.Module]:
    """Of a UNet of diffusers, in the order of a pass."""
    yield from unet.down_blocks  # type: ignore[misc]
    yield unet.mid_block  # type: ignore[misc]
    yield from unet.up_blocks  # type: ignore[misc]


def _denoising(networks: ChampNetworks) -> Iterator[nn.Module]:
    """The denoiser's blocks, the normal domain's own ones among them."""
    yield from _blocks(networks.denoiser.unet)
    for name in ("normal_first", "normal_last"):
        if hasattr(networks.denoiser, name):
            yield getattr(networks.denoiser, name)
