"""Build the avatar of one portrait.

    perse build                                              the sample portrait, into runs/demo
    perse build --portrait me.jpg --workspace runs/me        one's own
    perse build --portrait party.jpg --face 2 --workspace runs/her
    perse build --portrait me.jpg --prompts mine.csv --workspace runs/mine
    perse build --recipe my_recipes:fast --workspace runs/fast
    perse build --recipe paper --plan --gpus 64              what it would run, and what it costs

or, on a cluster (tokens are on: export RAY_AUTH_MODE=token and RAY_AUTH_TOKEN first):

    ray job submit --working-dir . -- perse build --portrait s3://b/me.jpg --workspace s3://b/me

Without --portrait it takes the sample portrait (Eileen Collins, NASA, public domain). Repeat the same command after
any interruption: what is finished is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, recipe_of, run_command

if TYPE_CHECKING:
    from perse.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What to build and where."""

    portrait: str | None = None
    """Photograph (PNG, JPEG or WebP), a path or an address; the sample portrait if left out."""

    recipe: str = "laptop"
    """tiny, laptop, paper, or one's own as module:function."""

    workspace: str = "runs/demo"
    """Folder for everything that is made; also s3://… or gs://…."""

    face: int | None = None
    """Which face, where the photograph shows several: 1 is the leftmost."""

    parts: Path | None = None
    """PNG in which wrong parts are painted over; `perse track --portrait me.jpg --parts mask.png` writes one."""

    prompts: Path | None = None
    """CSV file with one's own prompts instead of the recipe's."""

    seed: int | None = None
    """Seed of prompts and training; the recipe's if left out."""

    consent: Path | None = None
    """JSON file that says who consents, to what purpose, since and until when; recipe paper asks for one."""

    plan: bool = False
    """Only say what would run, on how many workers, with which downloads, and for how long."""

    gpus: int | None = None
    """GPUs that --plan reckons with; as many as the recipe's training needs, if left out."""

    node_gpus: int = 8
    """GPUs of one of the plan's nodes."""

    node_cpus: int | None = None
    """Cores of one of the plan's nodes; twelve for each GPU, if left out."""

    commercial_safe: bool = False
    """Refuse a recipe whose weights forbid commercial use, before anything runs."""

    wait: bool = False
    """Wait while another run holds the workspace, instead of refusing."""

    verify: bool = False
    """Read every finished file before it is trusted; otherwise only those that were touched since."""

    retry_failed: bool = False
    """Try prompts again that ended in quarantine."""


def main(arguments: Arguments) -> None:
    """Read what was given, build, and say where everything is."""
    recipe = recipe_of(arguments.recipe, arguments.seed)
    if arguments.plan:
        _print_plan(recipe, arguments)
        return
    if arguments.gpus is not None:
        raise InputError("--gpus says what --plan reckons with; a build uses the cluster that it finds")
    from perse.data.consent import read_consent
    from perse.data.photograph import read_photograph
    from perse.data.workspace import Workspace
    from perse.data.workspace_lock import locked
    from perse.synthesis.production.model_store import require
    from perse.synthesis.prompts import read_prompts_csv
    from perse.tracking.part_picture import open_parts
    from perse_ray.build.build import build
    from perse_ray.build.request import BuildRequest
    from perse_ray.runtime.progress import readable_s
    from perse_ray.runtime.shared_storage import check_location
    from perse_ray.synthesis.acceptance import outcome_line, summarise

    check_location(arguments.workspace)
    require(recipe, commercial_safe=arguments.commercial_safe)
    photograph = read_photograph(arguments.portrait)
    prompts = tuple(read_prompts_csv(arguments.prompts)) if arguments.prompts else None
    workspace = Workspace.open(arguments.workspace)
    request = BuildRequest(
        recipe=recipe,
        photograph=photograph,
        workspace=workspace,
        face=arguments.face,
        parts=None if arguments.parts is None else open_parts(arguments.parts),
        prompts=prompts,
        verify=arguments.verify,
        consent=None if arguments.consent is None else read_consent(arguments.consent),
        retry_failed=arguments.retry_failed,
    )
    with locked(workspace, wait=arguments.wait):
        done = build(request)
    metrics = done.metrics
    lost = summarise(metrics.get("acceptance", {}))
    print(
        f"\ndone in {readable_s(done.seconds)}"
        + (f" ({len(done.skipped)} stages were finished before)" if done.skipped else "")
        + f"\n  unseen poses  PSNR {_shown(metrics, 'psnr', 2)} dB (foreground "
        f"{_shown(metrics, 'psnr_foreground', 2)}), SSIM {_shown(metrics, 'ssim', 4)}"
        f"\n  edits         gain {_shown(metrics, 'edit_gain_db', 2)} dB, leakage {_shown(metrics, 'leakage', 5)}"
        + (f"\n  not used      {lost}" if lost else "")
        + f"\n  report        {workspace.location}/report/report.html"
        f"\n  avatar        {workspace.location}/avatar, in MLflow {done.model}"
        f"\n  serve it      perse serve --workspace {arguments.workspace}"
        f"\n{outcome_line(metrics.get('acceptance', {}))}"
    )


def _print_plan(recipe: Recipe, arguments: Arguments) -> None:
    """Needs no Ray and no MLflow, which `build` would import."""
    from perse_ray.build.plan import describe_plan
    from perse_ray.build.room import equal_nodes, gpus_for_training

    gpus, each = arguments.gpus, arguments.node_gpus
    if min(each, 1 if gpus is None else gpus, arguments.node_cpus or 1) < 1:
        raise InputError("--gpus, --node-gpus and --node-cpus must be 1 or more")
    wanted = gpus_for_training(recipe.cluster) if gpus is None else gpus
    print(describe_plan(recipe, nodes=equal_nodes(-(-wanted // each), min(each, wanted), arguments.node_cpus)))


def _shown(metrics: dict[str, object], name: str, digits: int) -> str:
    value = metrics.get(name)
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("build", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
