"""Built-in recipes. They differ in numbers and in who does the work, never in what is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from perse.attributes import CATEGORIES, Category
from perse.avatar import AvatarConfig, HullConfig, LatentConfig, PartBasesConfig, StartConfig
from perse.errors import RecipeError
from perse.morphing import RedrawMorpherConfig
from perse.recipes.filming import Filming
from perse.recipes.paper import paper, paper_hybrid, paper_permissive
from perse.recipes.paper_tiny import paper_tiny
from perse.recipes.recipe import Recipe
from perse.recipes.resources import ClusterUse, WorkerPool
from perse.synthesis.prompts import PromptPlan
from perse.training import FineTuneConfig, LearningRates, TrainingConfig


def tiny() -> Recipe:
    """Recipe of seconds, for tests: two categories of two prompts, a few frames of 64 px. The pictures are not worth a
    look."""
    return Recipe(
        name="tiny",
        prompts=PromptPlan(((Category.BEARD, 2), (Category.HAT, 2))),
        filming=Filming(stride=40, size_px=64),
        avatar=AvatarConfig(
            latents=LatentConfig(dimensions=8, hidden=32), decoder=PartBasesConfig(rank=4, hidden=16, features=8)
        ),
        start=StartConfig(
            head_points=700,
            shell_points=500,
            body_points=300,
            back_points=160,
            watched_frames=8,
            hull=HullConfig(voxel_m=0.012),
        ),
        training=TrainingConfig(steps=60, warmup_steps=5, edits_per_step=2),
        finetuning=FineTuneConfig(training=replace(FineTuneConfig().training, steps=12)),
        cluster=ClusterUse(edit=WorkerPool(workers=(1, 2)), animate=WorkerPool(workers=(1, 2)), checkpoint_every=10),
    )


def _between_pivots() -> TrainingConfig:
    """Fine-tuning that moves the part bases alone, and those only between the training subjects.

    Measured on the sample portrait: the pivots lose nothing, pictures between them come a fifth nearer to the morphs
    and their pace becomes a fifth more even (docs/decisions/007-between-pivots.md). With Adam's usual epsilon every
    number that no picture depends on makes steps as large as the others, and interpolations tremble.
    """
    rates = LearningRates(
        bases=4e-2, points=0, positions=0, features=0, directions=0, response=0, skinning=0, networks=0, latents=0
    )
    return TrainingConfig(steps=600, rates=rates, epsilon=3e-6)


def laptop() -> Recipe:
    """Recipe without weights, the default: nine categories of four prompts, 256 px, some ten minutes on two cores."""
    return Recipe(
        name="laptop",
        prompts=PromptPlan(tuple((category, 4) for category in CATEGORIES)),
        filming=Filming(stride=8, size_px=256),
        avatar=AvatarConfig(latents=LatentConfig(hidden=128), decoder=PartBasesConfig()),
        start=StartConfig(),
        training=TrainingConfig(),
        morpher=RedrawMorpherConfig(),
        finetuning=FineTuneConfig(training=_between_pivots()),
        cluster=ClusterUse(
            edit=WorkerPool(workers=(1, 2)),
            screen=WorkerPool(workers=(1, 1)),
            animate=WorkerPool(workers=(2, 2)),
            morph=WorkerPool(workers=(1, 1)),
        ),
    )


def laptop_closed() -> Recipe:
    """Recipe `laptop` for walks around the person and for exports: closed from behind, with a body whose depth is held.

    Measured on the sample portrait: 1.3 dB less in unseen poses, and from behind a person instead of a mask
    (docs/decisions/012-closed-from-behind.md).
    """
    recipe = laptop()
    return replace(
        recipe,
        name="laptop-closed",
        start=replace(recipe.start, back_points=1800),
        training=replace(recipe.training, losses=replace(recipe.training.losses, body=0.05)),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "tiny": tiny,
    "laptop": laptop,
    "laptop-closed": laptop_closed,
    "paper": paper,
    "paper-tiny": paper_tiny,
    "paper-permissive": paper_permissive,
    "paper-hybrid": paper_hybrid,
}


def recipe_named(name: str) -> Recipe:
    """A built-in recipe.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in RECIPES:
        raise RecipeError(f"there is no recipe {name!r}; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]()
