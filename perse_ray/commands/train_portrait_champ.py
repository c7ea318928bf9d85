"""Train portrait-Champ, the animator of beards, hair, hats, earrings and headphones (P A.3.2).

    perse train-champ --recipe champ-tiny            four sample videos, two cores, minutes
    perse train-champ --recipe champ-tiny --videos mine/ --workspace runs/champ-mine
    perse train-champ --recipe champ-paper --videos s3://b/talking-heads --workspace s3://b/champ
    perse evaluate-animators --videos mine/ --champ runs/champ-mine/weights

Videos are tracked, cut and drawn once; those without a usable face go to quarantine. Repeat the same command after any
interruption: what is finished is kept. Strips of held-out frames lie in report/samples, curves in MLflow. champ-paper
needs eight GPUs and days; the weights that it starts with: perse models list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perse.errors import InputError
from perse_ray.commands.command_line import own_recipe, parsed, run_command


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments: what to train on and where."""

    recipe: str = "champ-tiny"
    """champ-tiny, champ-paper, or one's own as module:function that returns a ChampRecipe."""

    videos: str | None = None
    """Folder with videos of talking heads, one person each; also s3://… or gs://…. champ-tiny films four if left
    out."""

    workspace: str = "runs/champ-tiny"
    """Folder for everything that is made; also s3://… or gs://…."""

    retry_failed: bool = False
    """Try videos again that ended in quarantine."""


def main(arguments: Arguments) -> None:
    """Prepare, train both stages, and say where the weights are."""
    from perse.data.workspace import Workspace
    from perse.recipes.champ import ChampRecipe, champ_recipe_named
    from perse.synthesis.production.model_store import require
    from perse_ray.build.champ import SAMPLES, WEIGHTS, ChampRequest, train_champ
    from perse_ray.runtime.progress import readable_s

    name = arguments.recipe
    recipe = own_recipe(name, ChampRecipe) if ":" in name else champ_recipe_named(name)
    if arguments.videos is None and recipe.name != "champ-tiny":
        raise InputError(f"{recipe.name} needs --videos, a folder with videos of talking heads")
    require(recipe)
    recipe.check()
    workspace = Workspace.open(arguments.workspace)
    videos = arguments.videos or str(_sample_clips(workspace.path / "videos"))
    done = train_champ(
        ChampRequest(recipe=recipe, videos=videos, workspace=workspace, retry_failed=arguments.retry_failed)
    )
    for row in done.quarantined:
        print(f"  not used   {row.name}: {row.error}")
    numbers = done.numbers
    print(
        f"\ndone in {readable_s(done.seconds)}, {len(done.takes)} videos"
        f"\n  held out   PSNR {numbers['held_out_psnr']:.2f} dB; the first frame repeated has "
        f"{numbers['held_out_psnr_of_first_frame']:.2f} dB"
        f"\n  strips     {workspace.location}/{SAMPLES}"
        f"\n  weights    {workspace.location}/{WEIGHTS}"
        f"\n  compare    perse evaluate-animators --videos {videos} --champ {arguments.workspace}/{WEIGHTS}"
    )


def _sample_clips(folder: Path) -> Path:
    """Four videos that the procedural animator films, once."""
    from perse.head.sources import EmbeddedHead
    from perse_ray.build.champ_clips import film_sample_clips

    film_sample_clips(folder, EmbeddedHead(), print)
    return folder


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("train-champ", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
