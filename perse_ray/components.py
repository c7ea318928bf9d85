"""From a recipe's configurations to what they configure.

A configuration with a `build` method builds itself: that is all that one's own editor, screen, animator, tracker,
morpher or encoder needs. The built-in ones, which know no orchestration, are named here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perse.errors import RecipeError
from perse.features import PromptImageEncoder
from perse.head import HeadModel
from perse.recipes import Recipe
from perse.recipes.resources import WorkerPool
from perse.tracking import HeadTracker
from perse_ray.stage import Resources
from perse_ray.synthesis_stages import Pool, Studio


@dataclass(frozen=True)
class Built:
    """A configuration of something that works with a head model, and how to make it. Its value is the config's."""

    config: object

    def build(self, head: HeadModel) -> Any:
        """
        Raises:
            RecipeError: nobody knows how to build it.
        """
        own = getattr(self.config, "build", None)
        if own is not None:
            return own(head)
        match type(self.config).__name__:
            case "ProceduralEditorConfig":
                from perse.synthesis.editing import ProceduralEditor

                return ProceduralEditor(self.config, head)  # type: ignore[arg-type]
            case "ProceduralScreenConfig":
                from perse.synthesis.screen import ProceduralScreen

                return ProceduralScreen(self.config)  # type: ignore[arg-type]
            case "ProceduralAnimatorConfig":
                from perse.synthesis.animator import ProceduralAnimator

                return ProceduralAnimator(self.config, head)  # type: ignore[arg-type]
            case "MediapipeTrackerConfig":
                from perse.tracking import MediapipeTracker

                return MediapipeTracker(self.config, head)  # type: ignore[arg-type]
        raise RecipeError(f"{type(self.config).__name__} cannot be built; give it a method build(head)")


def studio_of(recipe: Recipe) -> Studio:
    """Who makes the clips."""
    return Studio(
        head=recipe.head,
        editor=Built(recipe.editor),
        screen=Built(recipe.screen),
        animator=Built(recipe.animator),
        filming=recipe.filming,
        edit_pool=pool_of(recipe.cluster.edit),
        screen_pool=pool_of(recipe.cluster.screen),
        animate_pool=pool_of(recipe.cluster.animate),
    )


def tracker_of(recipe: Recipe, head: HeadModel) -> HeadTracker:
    """Who finds the head."""
    tracker: HeadTracker = Built(recipe.tracker).build(head)
    return tracker


def encoder_of(recipe: Recipe) -> PromptImageEncoder:
    """Who makes f_I and f_T."""
    encoder: Any = recipe.encoder
    built: PromptImageEncoder = encoder.build() if hasattr(encoder, "build") else encoder
    return built


def pool_of(pool: WorkerPool) -> Pool:
    """A recipe's numbers as a stage's."""
    return Pool(
        workers=pool.workers,
        resources=resources_of(pool),
        batch_size=pool.batch_size,
        time_limit_s=pool.time_limit_s,
    )


def resources_of(pool: WorkerPool) -> Resources:
    """What one worker claims."""
    return Resources(num_cpus=pool.cpus, num_gpus=pool.gpus, memory_gib=pool.memory_gib, threads=pool.threads)
