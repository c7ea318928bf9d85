"""The part network's weights as a safetensors file, with the recipe that made them in its header."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from perse.data.tensor_files import load_tensors
from perse.tracking.learned.part_network import PartNetwork

PACKAGED = "part_network.safetensors"


def weights_bytes(network: PartNetwork, recipe: Mapping[str, str]) -> bytes:
    """Content of a safetensors file of 16-bit weights."""
    return save({name: value.half().contiguous() for name, value in network.state_dict().items()}, dict(recipe))


def load_network(path: Path) -> PartNetwork:
    """Network ready to parse.

    Raises:
        MissingWeightsError: no such file, or no safetensors.
        RuntimeError: weights of another network.
    """
    network = PartNetwork()
    network.load_state_dict({name: value.float() for name, value in load_tensors(path).items()})
    return network.eval()


def read_recipe(path: Path) -> dict[str, str]:
    """Recipe in the file's header."""
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


@lru_cache(maxsize=1)
def packaged_network() -> PartNetwork:
    """The network that comes with the package."""
    with as_file(files(__package__) / PACKAGED) as path:
        return load_network(path)


@lru_cache(maxsize=1)
def packaged_digest() -> str:
    """Digest of the packaged network's weights, for keys of what is made with them."""
    return hashlib.sha256((files(__package__) / PACKAGED).read_bytes()).hexdigest()[:16]
