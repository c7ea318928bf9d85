"""Plan of a body build: frames, steps, edits and workers. Nothing is started for it."""

from __future__ import annotations

from collections.abc import Sequence

from perse.body.animation.motions import Filmed
from perse.body.training.sampler import training_steps
from perse.data import AttributePrompt
from perse.recipes.body import BodyRecipe
from perse.recipes.resources import WorkerPool


def describe_body_plan(recipe: BodyRecipe, prompts: Sequence[AttributePrompt]) -> str:
    """Lines of the plan, one for each stage. No durations: none has been measured on the reader's machine."""
    measured = sum(filmed.frames for filmed in recipe.unseen)
    filmed = sum(one.frames for one in recipe.motions)
    trained = sum(_trained(one, recipe.held_out_every) for one in recipe.motions)
    steps = training_steps(recipe.training.epochs, trained, max(1, recipe.train_workers))
    of_edit = sum(one.frames for one in recipe.editing.motions)
    trainers = f"{recipe.train_workers} workers" if recipe.train_workers else "this process"
    texts = "; ".join(prompt.text for prompt in prompts) or "none"
    each = f"{of_edit} frames and {recipe.editing.steps} steps each"
    rows = (
        ("fit", "the photograph, in this process"),
        (
            "film",
            f"{filmed} frames of {_names(recipe.motions)}, and {measured} of {_names(recipe.unseen)} to measure, at "
            f"{recipe.size_px} px, {_workers(recipe.animate)}",
        ),
        ("train", f"{steps} steps: {recipe.training.epochs} epochs over {trained} frames, in {trainers}"),
        ("edit", f"{len(prompts)} edits, {each}, {_workers(recipe.animate)}: {texts}"),
        ("export", "avatar.safetensors, avatar.json, body.ply"),
        ("report", f"turntable, three motions and close-ups, {recipe.shown_frames} frames at {recipe.shown_px} px"),
        ("register", "a version of the model in MLflow"),
    )
    lines = [f"{stage:<9} {what}" for stage, what in rows]
    return "\n".join([f"recipe {recipe.name}; what an earlier run of the same command has finished is kept", *lines])


def _trained(filmed: Filmed, every: int) -> int:
    """Frames of a motion that are trained on: every so many-th is only measured."""
    return filmed.frames - len(range(every - 1, filmed.frames, every))


def _names(motions: Sequence[Filmed]) -> str:
    return ", ".join(filmed.name for filmed in motions)


def _workers(pool: WorkerPool) -> str:
    least, most = pool.workers
    if not most:
        return "in this process"
    return f"{least if least == most else f'{least} to {most}'} workers"
