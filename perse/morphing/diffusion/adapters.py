"""Adapters of subjects: LoRA factors of the UNet's attention, in a safetensors file under its content key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from perse.data.workspace import Workspace
from perse.errors import MissingWeightsError

DOWN, UP = ".lora_A.weight", ".lora_B.weight"
"""How peft's state dict calls the factors of a layer: [rank, in] and [out, rank]."""

FOLDER = "adapters"


@dataclass(frozen=True)
class Adapter:
    """A LoRA as peft saves it; its scale is 1 (alpha equals rank).

    Attributes:
        tensors: by name in peft's state dict, float32.
    """

    tensors: Mapping[str, Float[Tensor, "_ _"]]

    @property
    def layers(self) -> list[str]:
        """Paths of the adapted layers, sorted."""
        return sorted(name.removesuffix(DOWN) for name in self.tensors if name.endswith(DOWN))

    @property
    def n_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def to(self, device: torch.device) -> Adapter:
        return Adapter({name: tensor.to(device) for name, tensor in self.tensors.items()})


def lerp_adapters(first: Adapter, second: Adapter, position: float) -> Adapter:
    """State dict on the straight line between two (P A.2.1), factor by factor.

    Not what peft's weighted `set_adapters` does: that adds two products, (1 − α) B_a A_a + α B_b A_b, this multiplies
    two sums.

    Raises:
        ValueError: they adapt different layers or have different ranks.
    """
    shapes = [{name: tensor.shape for name, tensor in one.tensors.items()} for one in (first, second)]
    if shapes[0] != shapes[1]:
        raise ValueError("the two adapters differ in layers or rank: train both with the same configuration")
    return Adapter({name: torch.lerp(first.tensors[name], second.tensors[name], position) for name in first.tensors})


def adapter_file(key: str) -> str:
    """Name of an adapter's file in a workspace."""
    return f"{FOLDER}/{key}.safetensors"


def save_adapter(workspace: Workspace, key: str, adapter: Adapter, notes: Mapping[str, str]) -> None:
    """Keep an adapter; `notes` become the file's metadata."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in adapter.tensors.items()}
    workspace.write(adapter_file(key), save(tensors, metadata=dict(notes)))


def load_adapter(workspace: Workspace, key: str, clip: str) -> Adapter:
    """A subject's adapter.

    Raises:
        MissingWeightsError: there is none.
        DamagedFile: it is not what was written.
    """
    name = adapter_file(key)
    if not workspace.has(name):
        raise MissingWeightsError(
            f"there is no adapter: perse quarantine retry lets the next build train it ({name} for clip {clip})"
        )
    try:
        return Adapter(load(workspace.read(name)))
    except (SafetensorError, ValueError, KeyError) as error:
        raise workspace.damaged(name, " ".join(str(error).split())[:100]) from error
