"""Weights for the recipe `paper-tiny`: random, of the real classes, about 40 MB.

python tests/paper_tiny_weights.py /tmp/weights
PERSE_WEIGHTS=/tmp/weights/weights, and what else a build with them needs: see `perse.recipes.paper_tiny`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path[:0] = [str(Path(__file__).parent / "synthesis"), str(Path(__file__).parent)]

from tiny_checkpoints import (  # noqa: E402
    register_tiny_clip,
    save_flux,
    save_flux_controlnet,
    save_open_clip,
    save_sdxl,
    save_sdxl_controlnet,
    save_torchscript_segmenter,
    save_vae,
)
from tiny_diffusion import save_tiny_diffusion  # noqa: E402


def save_paper_tiny(place: Path) -> Path:
    """Fill ``paper-tiny`` of a folder; returns what PERSE_WEIGHTS is to be."""
    folder = place / "paper-tiny"
    folder.mkdir(parents=True, exist_ok=True)
    save_flux(folder / "flux")
    save_flux_controlnet(folder / "flux_controlnet")
    save_sdxl(folder / "sdxl")
    save_sdxl_controlnet(folder / "union", union=True)
    save_vae(folder / "vae")
    save_torchscript_segmenter(folder / "segmenter.pt")
    register_tiny_clip(folder)
    save_open_clip(folder / "clip.safetensors")
    save_vgg(folder / "vgg16.safetensors")
    save_tiny_diffusion(folder / "stable_diffusion")
    return place / "weights"


def save_vgg(file: Path) -> None:
    """VGG-16 has one size; its features as far as the loss looks."""
    from torchvision.models import vgg16

    torch.manual_seed(7)
    layers = vgg16(weights=None).features[:23]
    save_file({f"features.{name}": value.contiguous() for name, value in layers.state_dict().items()}, str(file))


if __name__ == "__main__":
    print(f"export PERSE_WEIGHTS={save_paper_tiny(Path(sys.argv[1]))}")
