"""Components of a build from a recipe's configurations.

Every configuration builds itself: a method `build` is all that one's own editor, screen, animator, tracker, morpher or
encoder needs.
"""

from __future__ import annotations

import torch

from perse.head import HeadModel
from perse.recipes import Recipe
from perse.recipes.resources import WorkerPool
from perse.tracking import HeadTracker
from perse_ray.rows.stage import Pool, Resources
from perse_ray.synthesis.stages import SynthesisConfig
from perse_ray.training.ray_train import WorkerGroup


def synthesis_config_of(recipe: Recipe) -> SynthesisConfig:
    """Configuration of the synthesis: the editor, screen and animator of a recipe, and how many workers run each."""
    return SynthesisConfig(
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
    """Tracker of a recipe."""
    return recipe.tracker.build(head)


def pool_of(pool: WorkerPool) -> Pool:
    """Pool of a stage with a recipe's numbers; a pool of the driver's own process counts as one worker."""
    low, high = pool.workers
    return Pool(
        workers=(max(low, 1), max(high, 1)),
        resources=resources_of(pool),
        batch_size=pool.batch_size,
        time_limit_s=pool.time_limit_s,
    )


def resources_of(pool: WorkerPool) -> Resources:
    """Resources that one worker claims."""
    return Resources(num_cpus=pool.cpus, num_gpus=pool.gpus, memory_gib=pool.memory_gib, threads=pool.threads)


def worker_group_of(recipe: Recipe) -> WorkerGroup:
    """Workers that train."""
    cluster = recipe.cluster
    pool = cluster.train
    return WorkerGroup(
        workers=cluster.train_workers,
        at_least=cluster.train_workers_at_least,
        threads=pool.threads if cluster.train_workers else 0,
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
        memory_gib=pool.memory_gib,
        checkpoint_every=cluster.checkpoint_every,
        checkpoint_every_s=cluster.checkpoint_every_s,
        placement_limit_s=cluster.placement_limit_s,
    )


def device_of(pool: WorkerPool, workers: int) -> torch.device:
    """Device on which a worker of a pool computes; the driver's own process uses no GPU."""
    return torch.device("cuda" if workers and pool.gpus else "cpu")
