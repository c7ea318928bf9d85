"""Trained weights as safetensors with a note, and weights of others to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from perse.data.tensor_files import load_tensors, shapes_of_tensors
from perse.errors import MissingWeightsError
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.portrait_champ.networks import ChampNetworks, ChampSizes

TENSORS = "portrait_champ.safetensors"
NOTE = "portrait_champ.json"
FORMAT = "perse-portrait-champ"

_SD_UNET = Weights(name="stable-diffusion-1.5-unet")
_ANIMATEDIFF = Weights(name="animatediff-motion-adapter-v1-5-2")


def networks_to_files(networks: ChampNetworks, averaged: Mapping[str, Tensor], recipe: str) -> dict[str, bytes]:
    """Files by name: all weights, the averaged ones in place of the trained ones, and which recipe they are of."""
    tensors = {**networks.state_dict(), **averaged}
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    note = {"format": FORMAT, "recipe": recipe, "moves": any("motion_modules" in name for name in whole)}
    return {TENSORS: save(whole), NOTE: json.dumps(note, sort_keys=True).encode()}


def recipe_of_folder(folder: Path) -> str:
    """Name of the recipe that weights were trained by.

    Raises:
        MissingWeightsError: the folder holds no portrait-Champ.
    """
    try:
        note = json.loads((folder / NOTE).read_bytes())
        if note["format"] != FORMAT:
            raise ValueError(note["format"])
        return str(note["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        raise MissingWeightsError(
            f"{folder} holds no portrait-Champ: expected {NOTE} and {TENSORS}, as `perse train-champ` writes"
        ) from None


def load_networks(folder: Path, sizes: ChampSizes) -> ChampNetworks:
    """Trained networks with motion modules, for animation.

    Raises:
        MissingWeightsError: the files are not there, or are of another model.
    """
    networks = sizes.build(moves=True)
    fill(networks, load_tensors(folder / TENSORS), str(folder / TENSORS))
    return networks.eval().requires_grad_(False)


def check_networks(folder: Path, sizes: ChampSizes) -> None:
    """Whether `load_networks` will find what it expects. Reads the head of the file.

    Raises:
        MissingWeightsError: as `load_networks`.
    """
    with torch.device("meta"):
        networks = sizes.build(moves=True)
    fill(networks, shapes_of_tensors(folder / TENSORS), str(folder / TENSORS))


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str, *, may_lack: str = "") -> None:
    """Put weights into a network, all of them.

    Args:
        may_lack: names that contain this need not be there.

    Raises:
        MissingWeightsError: names or shapes are those of another model; names the first difference.
    """
    own = module.state_dict()
    lacking = [name for name in own if name not in tensors and not (may_lack and may_lack in name)]
    odd = [name for name in tensors if name not in own]
    shaped = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    if lacking or odd or shaped:
        if shaped:
            name = shaped[0]
            what = f"{name} is {list(tensors[name].shape)}, expected {list(own[name].shape)}"
        else:
            what = f"it lacks {lacking[0]}" if lacking else f"it also holds {odd[0]}"
        raise MissingWeightsError(f"{source} is of another model: {what}; give the weights that the recipe names")
    with torch.no_grad():
        for name, value in own.items():
            if name in tensors:
                value.copy_(tensors[name])


@dataclass(frozen=True, kw_only=True)
class PretrainedStart:
    """Start from the weights of others: Stable Diffusion 1.5 in both UNets, AnimateDiff in the motion modules."""

    unet: Weights = _SD_UNET
    """Folder with `unet/*.safetensors`."""
    motion: Weights = _ANIMATEDIFF
    """Folder with a `MotionAdapter` of diffusers."""

    def apply(self, networks: ChampNetworks) -> None:
        """Put the weights into the networks.

        Raises:
            MissingWeightsError: they are not there, or of other sizes than the recipe's.
        """
        folder = self.unet.locate() / "unet"
        file = next(iter(sorted(folder.glob("*.safetensors"))), folder / "diffusion_pytorch_model.safetensors")
        tensors = load_tensors(file)
        fill(networks.reference, tensors, str(file))
        fill(networks.denoiser.unet, tensors, str(file), may_lack="motion_modules")
        if any(True for _ in networks.motion_parameters()):
            self._apply_motion(networks)
        networks.denoiser.copy_ends()

    def _apply_motion(self, networks: ChampNetworks) -> None:
        folder = self.motion.locate()
        file = next(iter(sorted(folder.glob("*.safetensors"))), folder / "diffusion_pytorch_model.safetensors")
        own = {name: value for name, value in networks.denoiser.unet.state_dict().items() if "motion_modules" in name}
        tensors = load_tensors(file)
        if {name: value.shape for name, value in own.items()} != {n: v.shape for n, v in tensors.items()}:
            raise MissingWeightsError(f"{file} holds no motion modules of the recipe's sizes; give AnimateDiff v1.5.2")
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(tensors[name])
