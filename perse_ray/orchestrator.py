"""Orchestrator of `perse.library`: what `perse.build` and `perse.load("models:/…")` ask of this package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.recipes import Recipe
from perse.shapes import Picture
from perse.synthesis.production.model_store import require
from perse.synthesis.prompts import read_prompts_csv
from perse_ray.build.build import build as run_build
from perse_ray.build.request import BuildRequest
from perse_ray.serving.library.sources import RegistryPlace, find_places


def build(
    photograph: Picture,
    workspace: str,
    *,
    recipe: Recipe,
    face: int | None,
    prompts: Path | None,
    show: Callable[[str], None] | None,
) -> None:
    """Build the avatar of a photograph [h, w, 3] in the workspace; what is finished already is kept.

    Raises:
        PerseError: something of the request cannot be used, or a stage could not finish.
    """
    require(recipe)
    run_build(
        BuildRequest(
            recipe=recipe,
            photograph=photograph,
            workspace=Workspace.open(workspace),
            face=face,
            prompts=None if prompts is None else tuple(read_prompts_csv(prompts)),
            show=show,
        )
    )


def registered_avatar(model: str, into: Path) -> Path:
    """The folder of a registered avatar (``models:/name@alias``), copied into a new folder.

    Raises:
        InputError: there is no such model, or it is no avatar.
    """
    (place,) = find_places([model]).values()
    if not isinstance(place, RegistryPlace):
        raise InputError(f"expected models:/NAME@ALIAS, got {model[:100]!r}")
    return place.fetch(place.version(), into)
