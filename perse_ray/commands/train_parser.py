"""Train the small network that corrects the parts of a portrait.

    perse train-parser                                        portraits that packages ship, varied
    perse train-parser --folder pictures/ --labels parts.json --examples 600
    perse train-parser --folder pictures/ --labels parts.json --leave-out veil_painting

Portraits whose parts are known get other hair, hats, veils, beards, garments, hands, walls and light: what is painted
is known exactly. Ray Data draws them, one core trains. Measure the weights on a picture only if --leave-out named it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, run_command


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments: what to train on and where."""

    workspace: str = "runs/parser"
    """Folder for examples and weights; also s3://… or gs://…."""

    folder: str = ""
    """Folder with photographs of faces."""

    labels: str = ""
    """JSON with their parts as polygons; its form: benchmarks/portrait_parts.json."""

    leave_out: tuple[str, ...] = ()
    """Names of photographs, without their endings, that are kept for measuring."""

    examples: int = 300
    """Portraits to draw; half a second of one core each."""

    steps: int = 400
    """Training steps; a quarter of a second of one core each."""

    workers: int = 2
    """Processes that draw."""


def main(arguments: Arguments) -> None:
    """Draw, train, and say where the weights are."""
    for name in ("examples", "steps", "workers"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} must be at least 1, got {getattr(arguments, name)}")
    if bool(arguments.folder) != bool(arguments.labels):
        raise InputError("--folder and --labels belong together: photographs, and their parts as polygons")
    from perse.data.workspace import Workspace
    from perse.training.parsing.fit import PartTrainingConfig
    from perse.training.parsing.sources import PortraitSources
    from perse_ray.build.parser import ParserRequest, train_parser
    from perse_ray.runtime.progress import readable_s

    workspace = Workspace.open(arguments.workspace)
    done = train_parser(
        ParserRequest(
            workspace=workspace,
            sources=PortraitSources(folder=arguments.folder, labels=arguments.labels),
            examples=arguments.examples,
            left_out=arguments.leave_out,
            training=PartTrainingConfig(steps=arguments.steps),
            workers=arguments.workers,
            show=print,
        )
    )
    print(
        f"done in {readable_s(done.seconds)}: {done.examples} examples, loss {done.loss:.3f}"
        f"\n  weights    {workspace.location}/{done.weights}"
    )


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("train-parser", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
