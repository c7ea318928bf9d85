"""Stages of a build with their units, workers and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perse.morphing import DiffMorpherConfig
from perse.recipes import Recipe
from perse.recipes.resources import WorkerPool
from perse_ray.build.balance import BalancedStage, balanced, bound_s
from perse_ray.build.plan.costs import mean_clip_s, mean_edit_s, n_frames, n_prompts, training_image_s
from perse_ray.build.plan.rates import ESTIMATES, Rates
from perse_ray.build.room import Node, held_workers, morph_actors


@dataclass(frozen=True)
class PlannedStage:
    """Line of the plan: one stage.

    Attributes:
        name: of the stage.
        work: rows, images or steps, and what they are.
        units: how many.
        pool: who does it; None is the driver's own process.
        seconds: of one worker for one unit.
        workers: at most, at the same time.
    """

    name: str
    work: str
    units: int
    pool: WorkerPool | None
    seconds: float
    workers: int

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all workers together."""
        return self.units * self.seconds * (self.pool.gpus if self.pool else 0.0) / 3600

    @property
    def core_hours(self) -> float:
        """Core-hours of all workers together, where no GPU is used."""
        return 0.0 if self.gpu_hours else self.units * self.seconds / 3600

    @property
    def wall_s(self) -> float:
        """Seconds from begin to end with all its workers busy."""
        return self.units * self.seconds / max(self.workers, 1)


@dataclass(frozen=True)
class PlannedVideo:
    """Video of the person, as far as a plan needs it.

    Attributes:
        frames: about how many it has.
    """

    frames: int


def without_edits(recipe: Recipe) -> Recipe:
    """Recipe with --no-edits: what is left of it; nothing is interpolated either."""
    training = replace(recipe.training, edits_per_step=0)
    return replace(recipe, prompts=replace(recipe.prompts, counts=()), training=training, finetuning=None)


def capture_stages(recipe: Recipe, video: PlannedVideo, rates: Rates = ESTIMATES) -> list[PlannedStage]:
    """Stages that a video adds before anything else: the person is found in it, and its frames become a clip. Both are
    done by the driver's own process."""
    wanted = min(n_frames(recipe), video.frames)
    return [
        PlannedStage("find", f"{video.frames} frames of the video", video.frames, None, rates.find_frame_s, 1),
        PlannedStage("capture", f"{wanted} of its frames at most", wanted, None, rates.capture_frame_s, 1),
    ]


def synthesis_balance(recipe: Recipe, rates: Rates = ESTIMATES) -> list[BalancedStage]:
    """Editors, screens and animators with their times, for `balanced`."""
    cluster = recipe.cluster
    return [
        BalancedStage("edit", cluster.edit, mean_edit_s(recipe, rates)),
        BalancedStage("screen", cluster.screen, rates.screen_s),
        BalancedStage("animate", cluster.animate, mean_clip_s(recipe, rates)),
    ]


def synthesis_s(recipe: Recipe, nodes: Sequence[Node], rates: Rates = ESTIMATES) -> tuple[float, float]:
    """Seconds of all edits and clips on empty nodes: what the slowest stage needs, always busy, for the prompts and for
    those that replace refused ones; and the same with the way of one row, for which the first stages have to wait in
    the end and the last ones in the beginning."""
    stages = synthesis_balance(recipe, rates)
    rows = round(n_prompts(recipe) / (1 - rates.refused_share))
    bound = bound_s(stages, balanced(stages, nodes), rows)
    return bound, bound + sum(stage.seconds for stage in stages)


def planned_stages(recipe: Recipe, rates: Rates = ESTIMATES, nodes: Sequence[Node] = ()) -> list[PlannedStage]:
    """Stages that cost something, in order; the first three run at the same time.

    Args:
        nodes: with as many workers as these hold; without any, each pool has its largest number.
    """
    stages = _unbounded_stages(recipe, rates)
    return [replace(stage, workers=_workers_on(nodes, stage, recipe, rates)) for stage in stages] if nodes else stages


def _workers_on(nodes: Sequence[Node], stage: PlannedStage, recipe: Recipe, rates: Rates) -> int:
    """Workers of a stage that nodes hold, as the build would start them."""
    if stage.name in ("edit", "screen", "animate"):
        return balanced(synthesis_balance(recipe, rates), nodes)[stage.name]
    if stage.name == "morph":
        return morph_actors(recipe.cluster, nodes)[1]
    if stage.pool is None or stage.name in ("train", "finetune"):
        return stage.workers
    return min(held_workers(stage.pool, nodes), stage.units)


def _unbounded_stages(recipe: Recipe, rates: Rates) -> list[PlannedStage]:
    cluster = recipe.cluster
    prompts = n_prompts(recipe)
    clip_s = mean_clip_s(recipe, rates)
    edit_s = mean_edit_s(recipe, rates)
    stages = [
        PlannedStage("edit", f"{prompts} prompts", prompts, cluster.edit, edit_s, cluster.edit.workers[1]),
        PlannedStage("screen", f"{prompts} edits", prompts, cluster.screen, rates.screen_s, cluster.screen.workers[1]),
        PlannedStage(
            "animate",
            f"{prompts + 1} clips of {n_frames(recipe)} frames",
            prompts + 1,
            cluster.animate,
            clip_s,
            cluster.animate.workers[1],
        ),
    ]
    set_up_s = rates.set_up_subject_s * (recipe.filming.size_px / 512) ** 2
    watched = min(prompts, recipe.start.watched_subjects or prompts)
    stages += [
        _pooled("encode", f"{prompts + 1} pictures", prompts + 1, cluster.encode, rates.encode_s),
        _pooled("set up", f"{watched} watched subjects", watched, cluster.set_up, set_up_s),
    ]
    workers = max(cluster.train_workers, 1)
    pool = cluster.train if cluster.train_workers else None
    image_s = training_image_s(recipe, rates)
    steps, images = recipe.training.steps, recipe.training.edits_per_step + 1
    stages.append(_training("train", steps, images, workers, pool, image_s))
    stages.append(_evaluation("evaluate", recipe, rates))
    if recipe.finetuning is not None:
        stages += _teaching(recipe, rates)
        steps, images = recipe.finetuning.training.steps, recipe.finetuning.alphas_per_step + 3
        stages.append(_training("finetune", steps, images, workers, pool, image_s))
        stages.append(_evaluation("evaluate", recipe, rates))
    return stages


def _pooled(name: str, work: str, units: int, pool: WorkerPool, seconds: float) -> PlannedStage:
    """A stage of a pool; one of (0, 0) workers is the driver's own process."""
    high = pool.workers[1]
    return PlannedStage(name, work, units, pool if high else None, seconds, max(high, 1))


def _training(
    name: str, steps: int, images: int, workers: int, pool: WorkerPool | None, image_s: float
) -> PlannedStage:
    work = f"{steps} steps of {workers} × {images} images"
    return PlannedStage(name, work, steps * images * workers, pool, image_s, workers)


def _evaluation(name: str, recipe: Recipe, rates: Rates) -> PlannedStage:
    """Subjects on unseen frames, mixes, and interpolations (P B.2)."""
    config, pool = recipe.evaluation, recipe.cluster.evaluate
    frames = min(config.frames, len(recipe.filming.test_frames))
    pairs = sum(min(config.pairs_per_category, n * (n - 1) // 2) for _, n in recipe.prompts.counts)
    pictures = (n_prompts(recipe) + 1 + config.mixes) * frames
    pictures += pairs * (config.interpolation_steps + 5) * min(config.interpolation_frames, frames)
    return _pooled(
        name, f"{pictures} pictures", pictures, pool, rates.gpu_render_s if pool.gpus else rates.cpu_render_s
    )


def _teaching(recipe: Recipe, rates: Rates) -> list[PlannedStage]:
    """Adapters, where the teacher has any, and the morphs of all training workers from their one pool."""
    assert recipe.finetuning is not None, "the caller has looked"
    cluster, morpher = recipe.cluster, recipe.morpher
    morphs = recipe.finetuning.training.steps * max(cluster.train_workers, 1)
    if not isinstance(morpher, DiffMorpherConfig):
        return [_pooled("morph", f"{morphs} morphs", morphs, cluster.morph, rates.morph_s)]
    subjects = sum(n for _, n in recipe.prompts.counts if n > 1)
    lora = morpher.lora
    steps = -(-len(recipe.filming.train_frames) // lora.batch_size) * lora.epochs
    # Each end is shared by about two pairs (`MorphSchedule`): inverted, and walked for its attention, once.
    rows = morpher.steps * recipe.finetuning.alphas_per_step + morpher.steps * (1 + morpher.attention_share)
    return [
        _pooled(
            "adapt", f"{subjects} adapters of {steps} steps", subjects, cluster.adapt, steps * rates.adapter_step_s
        ),
        _pooled("morph", f"{morphs} morphs", morphs, cluster.morph, rows * rates.unet_row_s),
    ]
