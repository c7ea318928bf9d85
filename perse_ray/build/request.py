"""Request for a build, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.data import AttributePrompt
from perse.data.consent import Consent
from perse.data.workspace import Workspace
from perse.recipes import Recipe
from perse_ray.build.recorded import RecordedPerson
from perse_ray.runtime.session import LocalRay


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """Request for one build."""

    recipe: Recipe
    """Who does each step, and with which numbers."""

    photograph: UInt8[NDArray[np.uint8], "h w 3"]
    """[h, w, 3] RGB, upright."""

    workspace: Workspace
    """Where everything goes."""

    recorded: RecordedPerson | None = None
    """Where the photograph is a frame of the person's own video: the reference is then trained on that."""

    face: int | None = None
    """Which face, where the photograph shows several; from 1, left to right."""

    parts: UInt8[NDArray[np.uint8], "h w 4"] | None = None
    """Painted corrections of the part masks, [h, w, 4] RGBA of the crop's size; see `perse.tracking.part_picture`."""

    prompts: tuple[AttributePrompt, ...] | None = None
    """One's own prompts instead of the recipe's plan."""

    consent: Consent | None = None
    """Of the person; kept from then on."""

    retry_failed: bool = False
    """Whether to try prompts again that ended in quarantine."""

    verify: bool = False
    """Whether to read every finished file before it is trusted, also those that nobody seems to have touched."""

    local: LocalRay = field(default_factory=LocalRay)
    """The private Ray, where no cluster is joined."""

    show: Callable[[str], None] | None = None
    """Where progress lines go; None draws live bars on a terminal."""


@dataclass(frozen=True)
class BuildResult:
    """Result of a build.

    Attributes:
        metrics: the content of metrics.json.
        skipped: stages that an earlier run had finished.
        seconds: wall time of this run.
        model: registered name and version.
    """

    metrics: dict[str, Any]
    skipped: tuple[str, ...]
    seconds: float
    model: str
