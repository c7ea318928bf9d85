"""From a recipe's configurations to what they configure.

Every configuration builds itself: a method `build` is all that one's own editor, screen, animator, tracker, morpher or
encoder needs.
"""

from __future__ import annotations

from perse.features import PromptImageEncoder
from perse.head import HeadModel
from perse.recipes import Recipe
from perse.recipes.resources import WorkerPool
from perse.tracking import HeadTracker
from perse_ray.rows.stage import Resources
from perse_ray.synthesis.stages import Pool, Studio


def studio_of(recipe: Recipe) -> Studio:
    """Who makes the clips."""
    return Studio(
        head=recipe.head,
        editor=recipe.editor,
        screen=recipe.screen,
        animator=recipe.animator,
        filming=recipe.filming,
        edit_pool=pool_of(recipe.cluster.edit),
        screen_pool=pool_of(recipe.cluster.screen),
        animate_pool=pool_of(recipe.cluster.animate),
    )


def tracker_of(recipe: Recipe, head: HeadModel) -> HeadTracker:
    """Who finds the head."""
    return recipe.tracker.build(head)


def encoder_of(recipe: Recipe) -> PromptImageEncoder:
    """Who makes f_I and f_T."""
    return recipe.encoder.build()


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
