"""Storage of a body avatar as files: safetensors and a description, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from perse.avatar.pose_offsets import OffsetConfig
from perse.body.avatar.avatar import BodyAvatar, Structure
from perse.errors import DamagedFile
from perse.geometry.sparse_tensors import csr_tensor

TENSORS, ABOUT = "body.safetensors", "body.json"
FORMAT, VERSION = "perse-body", 3


def avatar_to_files(avatar: BodyAvatar) -> dict[str, bytes]:
    """Files of an avatar by name."""
    tensors: dict[str, Tensor] = {}
    for name, value in vars(avatar.structure).items():
        if value.layout == torch.sparse_csr:
            tensors |= {
                f"structure.{name}.rows": value.crow_indices(), f"structure.{name}.columns": value.col_indices(),
                f"structure.{name}.values": value.values(),
            }  # fmt: skip
        else:
            tensors[f"structure.{name}"] = value
    tensors |= {f"state.{name}": value for name, value in avatar.state_dict().items()}
    about = {
        "format": FORMAT, "version": VERSION, "offsets": asdict(avatar.offsets.config), "gaussians": len(avatar),
    }  # fmt: skip
    held = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return {TENSORS: save(held), ABOUT: json.dumps(about, indent=1, sort_keys=True).encode()}


def avatar_from_files(files: Mapping[str, bytes]) -> BodyAvatar:
    """Avatar in the files that were written.

    Raises:
        DamagedFile: these are not its files.
    """
    try:
        about = json.loads(files[ABOUT])
        if about["format"] != FORMAT or about["version"] != VERSION:
            raise DamagedFile(f"{ABOUT} describes no body avatar of version {VERSION}; build it again")
        tensors = load(files[TENSORS])
        prefix = "structure."
        plain = {
            name.removeprefix(prefix): value
            for name, value in tensors.items()
            if name.startswith(prefix) and name.count(".") == 1
        }
        rows, columns, values = (tensors[f"{prefix}mixture.{part}"] for part in ("rows", "columns", "values"))
        size = (len(plain["rest"]), len(plain["vertices"]))
        plain["mixture"] = csr_tensor(rows, columns, values, size)
        avatar = BodyAvatar(Structure(**plain), OffsetConfig(**about["offsets"]))
        avatar.load_state_dict({n.removeprefix("state."): v for n, v in tensors.items() if n.startswith("state.")})
    except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise DamagedFile(f"the body avatar's files are damaged ({type(error).__name__}); build it again") from None
    return avatar
