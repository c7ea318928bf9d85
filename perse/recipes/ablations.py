"""Ablations (P Table 3 and 5.3): recipes that differ from a recipe in one thing each, for the same clips.

What the quality screen and the interpolation loss are worth is not here: without the screen there are other clips
(`perse_ray.build.unscreened`), and the interpolation loss is stage 2, which `perse evaluate --protocol table3` measures
on a finished build.
"""

from __future__ import annotations

from dataclasses import replace

from perse.attributes import Category
from perse.avatar import LatentConfig, NetworksConfig, PartBasesConfig
from perse.avatar.densification import DensificationConfig
from perse.errors import RecipeError
from perse.features import UnrelatedEncoderConfig
from perse.recipes.recipe import Recipe
from perse.training import LearningRates

SMALL_NETWORKS = NetworksConfig(
    deform_width=64, deform_depth=3, color_width=64, color_depth=4, color_skip=2, pose_width=32, pose_depth=2
)
"""The paper's decoder at widths that a laptop can train."""

FLAT = (Category.CLOTHES, Category.EYEBROWS, Category.MOUTH, Category.NOSE, Category.BEARD)
"""Categories that a curriculum begins with: what lies on the surface. The others change the silhouette."""

IDENTITY_WEIGHT = 0.1


def ablations(recipe: Recipe) -> dict[str, Recipe]:
    """Ablations by name; each group's first row is what the others of it leave out something of, or add something to.

    Raises:
        RecipeError: the recipe's decoder is not part bases.
    """
    decoder, training = recipe.avatar.decoder, recipe.training
    if not isinstance(decoder, PartBasesConfig):
        raise RecipeError(f"ablations start from a recipe with part bases, {recipe.name} has {decoder.kind}")

    def ours(**change: object) -> Recipe:
        return replace(recipe, avatar=replace(recipe.avatar, decoder=replace(decoder, **change)))  # type: ignore[arg-type]

    # Networks read the codes, which have to move; part bases only need them to stay apart.
    networks = replace(
        recipe,
        avatar=replace(recipe.avatar, decoder=SMALL_NETWORKS),
        training=replace(training, rates=LearningRates(latents=2e-4)),
    )

    def theirs(latents: LatentConfig | None = None, **change: object) -> Recipe:
        config = replace(SMALL_NETWORKS, **change)  # type: ignore[arg-type]
        avatar = replace(networks.avatar, decoder=config, latents=latents or networks.avatar.latents)
        return replace(networks, avatar=avatar)

    growing = DensificationConfig(target=recipe.start.n_points * 5 // 4, every=0.1)
    return {
        "part bases": recipe,
        "+ identity loss": replace(
            recipe, training=replace(training, losses=replace(training.losses, identity=IDENTITY_WEIGHT))
        ),
        "+ curriculum": with_curriculum(recipe),
        "- pose response": ours(pose_response=False),
        "- learned skinning": ours(learn_skinning=False),
        "- shared network": ours(depth=0),
        "networks": networks,
        "- image and text features": replace(networks, encoder=UnrelatedEncoderConfig()),
        "- part-wise latents": theirs(latents=replace(recipe.avatar.latents, part_wise=False)),
        "- O_gc-sc": theirs(subject_offsets=False),
        "- LBS rotation": theirs(turn_gaussians=False),
        "+ densification": replace(networks, training=replace(networks.training, densification=growing)),
    }


def with_curriculum(recipe: Recipe) -> Recipe:
    """The recipe with the categories that lie on the surface first, and the others from a third of the steps on."""
    others = tuple(category for category, _ in recipe.prompts.counts if category not in FLAT)
    flat = tuple(category for category, _ in recipe.prompts.counts if category in FLAT)
    stages = ((0.0, flat), (1 / 3, others)) if flat and others else ()
    return replace(recipe, training=replace(recipe.training, curriculum=stages))
