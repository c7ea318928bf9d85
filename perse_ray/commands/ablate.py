"""Train variants of a recipe on a build's clips, and compare them on one page with pictures.

    perse ablate --workspace runs/me
    perse ablate --workspace runs/me --steps 300 --only identity
    perse ablate --recipe tiny --workspace runs/tiny

Each variant differs in one thing: identity loss, curriculum, pose response, learned skinning, the shared network; and
of the paper's decoder part-wise latents, O_gc→sc, the turn of the Gaussians, densification. All are trained by stage 1
for the same number of steps, one Ray worker each, on the same clips; where the quality screen has refused edits, one
more learns these too. What the interpolation loss is worth is measured by
`perse evaluate --protocol table3`. Repeat the command after an interruption: finished variants are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perse.errors import InputError
from perse_ray.commands.command_line import OfBuild, parsed, recipe_of, run_command


@dataclass(frozen=True, kw_only=True)
class Arguments(OfBuild):
    """Arguments: which clips, how long."""

    steps: int = 400
    """Steps of each training."""

    workers: int = 2
    """Trainings at once."""

    only: str = ""
    """Only variants whose names contain this."""

    seed: int = 0
    """Of the trainings."""


def main(arguments: Arguments) -> None:
    """Train, measure, write, print."""
    from perse.data.workspace import Workspace
    from perse.data.workspace_lock import locked
    from perse_ray.build.ablate import AblationRequest, ablate

    if min(arguments.steps, arguments.workers) < 1:
        raise InputError("--steps and --workers must be 1 or more")
    request = AblationRequest(
        workspace=Workspace.existing(arguments.workspace),
        recipe=recipe_of(arguments.recipe, None),
        steps=arguments.steps,
        workers=arguments.workers,
        only=arguments.only,
        seed=arguments.seed,
    )
    with locked(request.workspace, wait=arguments.wait):
        table = ablate(request)
    print(f"\n{table.markdown()}\n\n{request.workspace.location}/report/ablations.html, .png, .md, .json")


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("ablate", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
