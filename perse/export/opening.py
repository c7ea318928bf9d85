"""Opening of a workspace's finished avatar, local or remote, ready to be drawn."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from perse.avatar import Avatar, load_avatar
from perse.avatar.storage import DESCRIPTION_FILE, TENSORS_FILE, restore
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.render import CpuRasterizer, GsplatRasterizer, Rasterizer


def open_avatar(place: str) -> Avatar:
    """The avatar of a workspace (``runs/me``, ``s3://bucket/me``), or of a folder that holds just an avatar.

    Nothing is written. It comes on the GPU if there is one.

    Raises:
        InputError: there is no finished avatar, or it cannot be read.
        WorkspaceError: the place cannot be read.
    """
    local = "://" not in place
    if local and (Path(place).expanduser() / DESCRIPTION_FILE).is_file():
        avatar = load_avatar(Path(place).expanduser())
    else:
        workspace = Workspace(str(Path(place).expanduser().absolute()) if local else place)
        if not workspace.has(f"avatar/{DESCRIPTION_FILE}"):
            raise InputError(
                f"{place} holds no finished avatar; build one with `perse build` or `perse build-body` first"
            )
        avatar = _restored(workspace)
    return avatar.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def rasterizer_for(avatar: Avatar) -> Rasterizer:
    """Rasterizer for an avatar's device: gsplat on a GPU, our own on a CPU."""
    return GsplatRasterizer() if avatar.latents.reference.is_cuda else CpuRasterizer()


def _restored(workspace: Workspace) -> Avatar:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        description = json.loads(workspace.read(f"avatar/{DESCRIPTION_FILE}"))
        tensors = load(workspace.read(f"avatar/{TENSORS_FILE}"))
    except (ValueError, RecursionError, SafetensorError):
        raise InputError(
            f"the avatar in {workspace.location} is damaged; repeat `perse build`, which makes it again"
        ) from None
    return restore(description, tensors)
