"""An avatar on disk: safetensors and JSON, no pickle. This folder is what is registered and served."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from perse.attributes import CATEGORIES, Category
from perse.avatar.avatar import Avatar, AvatarCard, AvatarConfig, Subject
from perse.avatar.baselines import InstaConfig, PegasusConfig, SplattingAvatarConfig
from perse.avatar.canonical import N_ATTRIBUTES
from perse.avatar.decoder import DecoderConfig
from perse.avatar.latents import LatentConfig, SubjectFeatures
from perse.avatar.motion import Skeleton
from perse.avatar.networks import NetworksConfig
from perse.avatar.part_bases import PartBasesConfig
from perse.avatar.points import MeshPrior, StartingPoints
from perse.avatar.whole_body import WholeBodyConfig
from perse.data.durable_files import remove, write_file_atomically
from perse.data.strangers_json import value_of_json
from perse.errors import InputError
from perse.geometry import Camera

FORMAT_VERSION = 1
TENSORS_FILE = "avatar.safetensors"
DESCRIPTION_FILE = "avatar.json"

_DECODERS: dict[str, Callable[..., DecoderConfig]] = {
    one.kind: one
    for one in (
        PartBasesConfig,
        NetworksConfig,
        WholeBodyConfig,
        PegasusConfig,
        SplattingAvatarConfig,
        InstaConfig,
    )
}


_UNFIT = (KeyError, IndexError, AttributeError, RuntimeError, TypeError, ValueError, OverflowError, AssertionError)
"""What building an avatar of a stranger's description raises."""


def save_avatar(avatar: Avatar, directory: Path) -> None:
    """Write an avatar. The description goes first and is written last: a folder without one is not an avatar."""
    remove(directory / DESCRIPTION_FILE)
    write_file_atomically(directory / TENSORS_FILE, avatar_tensors(avatar))
    description = json.dumps(describe(avatar), indent=1, sort_keys=True)
    write_file_atomically(directory / DESCRIPTION_FILE, description.encode())


def load_avatar(directory: Path) -> Avatar:
    """Read an avatar.

    Raises:
        InputError: the folder holds no avatar, one of another format version, or a damaged one.
    """
    try:
        description = value_of_json((directory / DESCRIPTION_FILE).read_bytes())
        tensors = load((directory / TENSORS_FILE).read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{directory} holds no avatar: {Path(error.filename).name} is missing") from error
    except Exception as error:  # safetensors raises its own kind, json another
        raise InputError(f"the avatar in {directory} cannot be read; repeat `perse build`, or copy it again") from error
    return restore(description, tensors)


def avatar_tensors(avatar: Avatar) -> bytes:
    """All parameters and buffers as one safetensors file."""
    return save({name: value.detach().cpu().contiguous() for name, value in avatar.state_dict().items()})


def describe(avatar: Avatar) -> dict[str, Any]:
    """Description of an avatar for JSON: everything but its tensors."""
    decoder: Any = avatar.config.decoder
    card = avatar.card
    return {
        "format": FORMAT_VERSION,
        "key": card.key,
        "decoder": {"kind": decoder.kind, **asdict(decoder)},
        "latents": asdict(avatar.config.latents),
        "camera": {
            "world_to_camera": card.camera.world_to_camera.tolist(),
            "intrinsics": card.camera.intrinsics.tolist(),
            "width": card.camera.width,
            "height": card.camera.height,
        },
        "expression_names": list(card.expression_names),
        "joint_names": list(card.joint_names),
        "absent": [category.value for category in card.absent],
        "encoder": card.encoder,
        "n_expression": avatar.skeleton.n_expression,
        "correctives": avatar.skeleton.correctives,
        "subjects": [
            {"key": s.key, "category": s.category.value if s.category else None, "text": s.text}
            for s in avatar.subjects
        ],
    }  # fmt: skip


def restore(description: dict[str, Any], tensors: dict[str, Tensor]) -> Avatar:
    """An avatar from its description and tensors.

    Raises:
        InputError: the two do not fit together, or the format is another version's.
    """
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT_VERSION:
        raise InputError(f"expected avatar format {FORMAT_VERSION}, got {str(found)[:40]}; train it again")
    try:
        avatar = _empty_avatar(description, tensors)
        prefix = "decoder."
        avatar.decoder.make_room({name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)})
        avatar.load_state_dict(tensors)
    except _UNFIT as error:
        raise InputError("the avatar's description and tensors do not fit together; copy both again") from error
    return avatar


def _empty_avatar(description: dict[str, Any], tensors: dict[str, Tensor]) -> Avatar:
    decoder = dict(description["decoder"])
    config = AvatarConfig(
        latents=LatentConfig(**description["latents"]), decoder=_DECODERS[decoder.pop("kind")](**decoder)
    )
    view = description["camera"]
    card = AvatarCard(
        description["key"],
        Camera(torch.tensor(view["world_to_camera"]), torch.tensor(view["intrinsics"]), view["width"], view["height"]),
        tuple(description["expression_names"]),
        tuple(description["joint_names"]),
        tuple(Category(name) for name in description["absent"]),
        description.get("encoder", ""),
    )
    subjects = [
        Subject(row["key"], Category(row["category"]) if row["category"] else None, row["text"])
        for row in description["subjects"]
    ]
    skeleton = Skeleton(
        tensors["skeleton.joints"], tensors["skeleton.parents"], description["n_expression"],
        correctives=description["correctives"],
    )  # fmt: skip
    features = SubjectFeatures(*(tensors[f"features_{name}"] for name in ("image", "text", "categories")))
    return Avatar(config, card, skeleton, _placeholders(tensors), subjects, features, seed=0)


def _placeholders(tensors: dict[str, Tensor]) -> StartingPoints:
    """Points of the right number and sizes, all zero: the state overwrites what decoders make of them."""
    basis, regions = tensors["decoder.blend_basis"], tensors["decoder.regions"]
    n, joints = len(basis), len(tensors["skeleton.joints"])
    rest = torch.zeros(n, 3)
    prior = MeshPrior(rest, rest, rest, torch.zeros_like(basis), torch.zeros(n, joints))
    assert regions.shape[1] == len(CATEGORIES)
    nothing = torch.zeros(n, dtype=torch.long)
    return StartingPoints(prior, torch.zeros(n, N_ATTRIBUTES), nothing, regions, torch.zeros(0, n, N_ATTRIBUTES))
