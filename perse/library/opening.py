"""Opening of avatars from where they lie, and building of new ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from perse.avatar import load_avatar
from perse.data.photograph import read_photograph
from perse.export.opening import open_avatar
from perse.library.head_avatar import HeadAvatar
from perse.library.orchestrator import orchestrator
from perse.recipes import Recipe, recipe_named
from perse.shapes import Picture


def load(place: str | Path, *, clip: str | Path | None = None) -> HeadAvatar:
    """An avatar, ready to be drawn; on the GPU if there is one.

    Args:
        place: a workspace (``runs/me``, ``s3://bucket/me``), a folder that holds just an avatar, or a registered model
            (``models:/name@alias``, in the registry of MLFLOW_TRACKING_URI).
        clip: CLIP's weights, for descriptions where the avatar was trained with CLIP.

    Raises:
        InputError: there is no finished avatar, or it cannot be read.
        MissingWeightsError: a registry is asked for, and nothing is installed that knows one.
    """
    encoder = None if clip is None else Path(clip)
    if str(place).startswith("models:"):
        with tempfile.TemporaryDirectory(prefix="perse-registered-") as copy:
            return HeadAvatar(load_avatar(orchestrator().registered_avatar(str(place), Path(copy))), clip=encoder)
    return HeadAvatar(open_avatar(str(place)), clip=encoder)


def build(
    portrait: str | Path | Picture | None,
    workspace: str | Path,
    *,
    recipe: str | Recipe = "laptop",
    face: int | None = None,
    prompts: str | Path | None = None,
    show: Callable[[str], None] | None = None,
) -> HeadAvatar:
    """Build the avatar of a portrait, or go on with a build that was interrupted.

    Args:
        portrait: a photograph (path, address, or [h, w, 3] uint8); None is the sample portrait.
        workspace: folder for everything that is made; also s3://… or gs://….
        recipe: tiny, laptop, paper, …, or a `Recipe`.
        face: which face, where the photograph shows several; 1 is the leftmost.
        prompts: CSV file with one's own prompts instead of the recipe's.
        show: where lines about the progress go; bars on the terminal if left out.

    Raises:
        PerseError: the photograph, the recipe or the workspace cannot be used, or a stage could not finish.
        MissingWeightsError: what builds avatars is not installed.
    """
    chosen = recipe_named(recipe) if isinstance(recipe, str) else recipe
    if isinstance(portrait, np.ndarray):
        photograph = portrait
    else:
        photograph = read_photograph(None if portrait is None else str(portrait))
    own = None if prompts is None else Path(prompts)
    orchestrator().build(photograph, str(workspace), recipe=chosen, face=face, prompts=own, show=show)
    return load(workspace)
