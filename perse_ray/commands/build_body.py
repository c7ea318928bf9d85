"""Build the whole-body avatar of one standing person (PERSONA).

    perse build-body                                              the sample person, into runs/body
    perse build-body --portrait me_standing.jpg --workspace runs/body
    perse build-body --portrait party.jpg --person 2 --workspace runs/her
    perse build-body --portrait me_standing.jpg --edits "hat=red beanie" "clothes=green hoodie"
    perse build-body --portrait me_standing.jpg --body-model SMPLX_NEUTRAL.npz
    perse build-body --portrait me_standing.jpg --recipe my_recipes:diffusion
    perse build-body --portrait me_standing.jpg --plan            what would be done
    perse view --workspace runs/body                              look at it; so do perse render, export and serve

or, on a cluster (tokens are on: export RAY_AUTH_MODE=token and RAY_AUTH_TOKEN first):

    ray job submit --working-dir . -- python jobs/build_body.py --portrait s3://b/me.jpg --workspace s3://b/me

--edits says what the avatar can wear besides, as category=words; categories are clothes, hat, headphones, hair, beard,
eyebrows and mouth. The recipe's are two hats and two garments. Edits of one category blend into each other, edits of
several go together, and what an edit is not about stays as it is.

Without --portrait it takes the sample person, which is a rendering (docs/body.md). A picture of half a body is
accepted; what it does not show is guessed, and said. Repeat the same command after any interruption: what is finished
is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perse_ray.commands.command_line import own_recipe, parsed, run_command

if TYPE_CHECKING:
    from perse.data import AttributePrompt
    from perse.recipes.body import BodyRecipe


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments: what to build and where."""

    portrait: str | None = None
    """Photograph (PNG, JPEG or WebP), a path or an address; the sample person if left out."""

    recipe: str = "laptop"
    """tiny, laptop, or one's own as module:function, which returns a `perse.recipes.body.BodyRecipe`."""

    workspace: str = "runs/body"
    """Folder for everything that is made; also s3://… or gs://…."""

    body_model: Path | None = None
    """SMPL-X's SMPLX_NEUTRAL.npz, or its pickle after `perse models convert`; the free anny body if left out. Its face
    keeps the model's shape, and only clothes can be edited."""

    person: int | None = None
    """Which person, where the photograph shows several: 1 is the leftmost."""

    edits: tuple[str, ...] | None = None
    """What the avatar can wear besides, as category=words; the recipe's if left out."""

    prompts: Path | None = None
    """CSV file with such edits, as for `perse build`."""

    plan: bool = False
    """Print what would be done, and do nothing."""

    wait: bool = False
    """Wait while another run holds the workspace, instead of refusing."""


def main(arguments: Arguments) -> None:
    """Read the photograph, build, and say where everything is."""
    from perse.body.sample import sample_photograph
    from perse.data.photograph import read_photograph
    from perse.data.workspace import Workspace
    from perse.data.workspace_lock import locked
    from perse_ray.build.body import BodyRequest, build_body
    from perse_ray.runtime.progress import readable_s
    from perse_ray.runtime.shared_storage import check_location

    recipe = _recipe(arguments)
    if arguments.plan:
        _print_plan(arguments, recipe)
        return
    check_location(arguments.workspace)
    photograph = sample_photograph() if arguments.portrait is None else read_photograph(arguments.portrait)
    prompts = _prompts(arguments)
    workspace = Workspace.open(arguments.workspace)
    with locked(workspace, wait=arguments.wait):
        done = build_body(
            BodyRequest(
                recipe=recipe, photograph=photograph, workspace=workspace, person=arguments.person, prompts=prompts
            )
        )
    metrics = done.metrics
    print(
        f"\ndone in {readable_s(done.seconds)}"
        + (f" ({len(done.skipped)} stages were finished before)" if done.skipped else "")
        + (f"\n  guessed         {', '.join(done.guessed)}" if done.guessed else "")
        + f"\n  held-out frames {_scores(metrics['held_out_frames'])}"
        f"\n  unseen motion   {_scores(metrics['unseen_motion'])}"
        f"\n  the photograph  {_scores(metrics['captured'])}"
        f"\n  speed           {metrics['frames_per_second']:.1f} frames/s at {metrics['frames_per_second_px']} px, "
        f"{metrics['gaussians']} Gaussians (the paper: 25.6 on an A6000)"
        + "".join(f"\n  {text:<60} {_edit_scores(scores)}" for text, scores in metrics["edits"].items())
        + f"\n  report          {workspace.location}/report"
        f"\n  avatar          {workspace.location}/avatar, in MLflow {done.model}"
        f"\n  look at it      perse view --workspace {arguments.workspace}"
        f"\n{len(metrics['edits'])} done, {metrics['edits_quarantined']} quarantined"
    )


def _recipe(arguments: Arguments) -> BodyRecipe:
    """The named recipe, or the user's own, with the user's body model where there is one.

    Raises:
        RecipeError: there is no such recipe.
        HeadModelError: the file is no SMPL-X.
    """
    from perse.body.model import SmplxBody
    from perse.recipes.body import BodyRecipe, body_recipe_named

    name = arguments.recipe
    recipe = own_recipe(name, BodyRecipe) if ":" in name else body_recipe_named(name)
    if arguments.body_model is None:
        return recipe
    source = SmplxBody(path=arguments.body_model.resolve())
    source.load()  # a wrong file is told before anything is made
    return replace(recipe, body=source)


def _print_plan(arguments: Arguments, recipe: BodyRecipe) -> None:
    from perse.body.editing import body_prompts
    from perse_ray.build.body_plan import describe_body_plan

    prompts = _prompts(arguments)
    print(describe_body_plan(recipe, body_prompts(recipe.edits) if prompts is None else prompts))


def _prompts(arguments: Arguments) -> tuple[AttributePrompt, ...] | None:
    """What was asked for; None leaves it to the recipe.

    Raises:
        PromptError: it cannot be understood, or is no edit of a body.
    """
    from perse.body.editing import body_prompts, checked_prompts
    from perse.synthesis.prompts import read_prompts_csv

    if arguments.edits is None and arguments.prompts is None:
        return None
    listed = read_prompts_csv(arguments.prompts) if arguments.prompts else []
    return checked_prompts([*body_prompts(arguments.edits or ()), *listed])


def _edit_scores(scores: dict[str, float]) -> str:
    outside = f"{scores['leakage']:.5f}" if scores["leakage"] >= 5e-6 else "nothing"
    return f"gain {scores['gain_db']:.1f} dB, changes {scores['inside']:.3f} inside the edit, {outside} outside"


def _scores(scores: dict[str, Any]) -> str:
    return (
        f"PSNR {scores['psnr']:.2f} dB (person {scores['psnr_person']:.2f}), SSIM {scores['ssim']:.4f}, "
        f"mask IoU {scores['mask_iou']:.4f}, over {scores['frames']}"
    )


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("build-body", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
