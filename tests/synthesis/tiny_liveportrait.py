"""LivePortrait with a few channels and random weights, and its files as they are published and converted."""

from __future__ import annotations

from pathlib import Path

import torch

from perse.synthesis.production.liveportrait.networks import FILES, HEAD_PREFIXES, HEADS_FILE, LivePortraitNetworks
from perse.synthesis.production.liveportrait.shape import LivePortraitShape
from perse.synthesis.production.model_store import Weights
from perse_ray.commands.models import Convert
from perse_ray.commands.models_report import perform

TINY = LivePortraitShape(
    width=4, max_width=32, volume_channels=4, volume_blocks=1, motion_depths=(1, 1, 1, 1), motion_widths=(8, 8, 16, 16),
    flow_width=4, flow_max_width=16, flow_halvings=3, flow_features=2, style_width=8, middle_blocks=1,
)  # fmt: skip
"""The same networks with a few channels."""


def tiny_networks() -> LivePortraitNetworks:
    """Random weights, such that all of them have a say."""
    torch.manual_seed(0)
    made = LivePortraitNetworks.of_shape(TINY)
    for network in made.all():
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
        for parameter in network.parameters():
            if not parameter.any():  # the response normalisations start at zero
                parameter.normal_(0, 0.3)
    return made


def save_published(made: LivePortraitNetworks, folder: Path) -> None:
    """As its authors lay the files out: four state dicts, and the heads together, saved by a parallel training."""
    for name, file in FILES.items():
        path = folder / "liveportrait" / f"{file}.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(getattr(made, name).state_dict(), path)
    heads = {
        prefix: {f"module.{key}": value for key, value in getattr(made, name).state_dict().items()}
        for name, prefix in HEAD_PREFIXES.items()
    }
    path = folder / "liveportrait" / f"{HEADS_FILE}.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(heads, path)


def converted_weights(made: LivePortraitNetworks, folder: Path) -> Weights:
    """The files as `perse models convert` leaves them."""
    save_published(made, folder)
    pickles = sorted(folder.rglob("*.pth"))
    perform(Convert(files=tuple(pickles)), show=lambda _: None)
    for path in pickles:
        path.unlink()
    return Weights(name="liveportrait", folder=folder)
