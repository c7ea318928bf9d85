"""Measure a finished avatar by one of the paper's protocols, and write the table.

    perse evaluate --workspace runs/me --protocol table1
    perse evaluate --workspace runs/me --protocol table2 --pairs 6 --held-out 2
    perse evaluate --workspace runs/me --protocol table3
    perse evaluate --workspace runs/me --protocol table6          of an avatar that was built from a --video

table1: poses that were never trained. table2: interpolations of two subjects of a category, and how far their pictures
are from a held-out synthetic set, whose prompts no training has used (it is synthesised first). table3: the same before
and after fine-tuning on interpolations. table6: an avatar that is trained on the video's frames, and one that is
trained on its portrait filmed along the video's motion, against the video's unseen frames. Intervals are 95 %,
bootstrap over subjects, pairs or frames. A metric whose weights are not here says so in its column; with --require
LPIPS,ID the command refuses instead, before anything is computed. Repeat the command after an interruption: what is
measured is kept. Table and page lie in report/ of the workspace, and as artifacts in the build's MLflow run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perse.errors import InputError
from perse_ray.commands.command_line import OfBuild, parsed, recipe_of, run_command


@dataclass(frozen=True, kw_only=True)
class Arguments(OfBuild):
    """Arguments: which avatar, by which protocol, how much of it."""

    protocol: str
    """table1, table2, table3 or table6."""

    frames: int = 16
    """Unseen poses of a subject at most (the paper: 113)."""

    pairs: int = 3
    """Interpolations of each category (the paper: 200)."""

    poses: int = 2
    """Poses of an interpolation (the paper: 5)."""

    held_out: int = 1
    """Held-out subjects of each category; 0 leaves the distances of sets out (the paper: 2,000 pictures)."""

    require: str = ""
    """Metrics that must not be missing, by the names of their columns, with commas."""


def main(arguments: Arguments) -> None:
    """Measure, write, print."""
    from perse.data.workspace import Workspace
    from perse.data.workspace_lock import locked
    from perse.evaluation.protocols import Instruments
    from perse_ray.build.protocols import TITLES, ProtocolRequest, evaluate_protocol

    if arguments.protocol not in TITLES:
        raise InputError(f"there is no protocol {arguments.protocol[:40]!r}; choose one of {', '.join(TITLES)}")
    if min(arguments.frames, arguments.pairs, arguments.poses) < 1 or arguments.held_out < 0:
        raise InputError("--frames, --pairs and --poses must be 1 or more, and --held-out 0 or more")
    wanted = [name.strip() for name in arguments.require.split(",") if name.strip()]
    if wanted:
        Instruments.at_hand().require(wanted)
    request = ProtocolRequest(
        workspace=Workspace.existing(arguments.workspace),
        recipe=recipe_of(arguments.recipe, None),
        protocol=arguments.protocol,
        frames=arguments.frames,
        pairs=arguments.pairs,
        poses=arguments.poses,
        held_out=arguments.held_out,
    )
    with locked(request.workspace, wait=arguments.wait):
        table = evaluate_protocol(request)
    print(f"\n{table.markdown()}\n\n{request.workspace.location}/report/{arguments.protocol}.html, .md, .json")


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("evaluate", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
