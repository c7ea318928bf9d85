"""Seam to whatever builds avatars and keeps a registry of them, if such a package is installed.

The method knows no orchestration, and this is the one place where it asks for some: by name, at run time, so that no
import leads upwards (docs/decisions/008-the-library.md).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from jaxtyping import UInt8

from perse.errors import MissingWeightsError
from perse.recipes import Recipe

MODULE = "perse_ray.orchestrator"


class Orchestrator(Protocol):
    """A module that can build and look up avatars."""

    def build(
        self,
        photograph: UInt8[np.ndarray, "h w 3"],
        workspace: str,
        *,
        recipe: Recipe,
        face: int | None,
        prompts: Path | None,
        show: Callable[[str], None] | None,
    ) -> None:
        """Build the avatar of a photograph [h, w, 3] in the workspace; what is finished already is kept."""
        ...

    def registered_avatar(self, model: str, into: Path) -> Path:
        """The folder of a registered avatar (``models:/name@alias``), copied into a new folder."""
        ...


def orchestrator() -> Orchestrator:
    """Orchestrator that is installed.

    Raises:
        MissingWeightsError: there is none, or something that it needs is missing.
    """
    try:
        found: Any = import_module(MODULE)
    except ModuleNotFoundError as error:
        raise MissingWeightsError(
            f"building avatars and registries need more packages ({error.name} is missing): pip install 'perse[ray]'"
        ) from error
    return cast(Orchestrator, found)
