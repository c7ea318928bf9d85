"""Seconds of one worker for an edit, a clip and a training image of a recipe."""

from __future__ import annotations

from perse.attributes import Category
from perse.recipes import Recipe
from perse.synthesis.production import (
    AnimatorByCategoryConfig,
    DiffusionEditorConfig,
    EditorByCategoryConfig,
    LandmarkSegmenterConfig,
    LivePortraitConfig,
)
from perse.synthesis.production.portrait_champ import PortraitChampConfig
from perse.synthesis.production.portrait_champ.windows import context_windows
from perse_ray.build.plan.rates import Rates


def n_prompts(recipe: Recipe) -> int:
    """Number of prompts of all categories together."""
    return sum(count for _, count in recipe.prompts.counts)


def n_frames(recipe: Recipe) -> int:
    """Number of frames of a clip, for training and for the test."""
    return len(recipe.filming.train_frames) + len(recipe.filming.test_frames)


def training_image_s(recipe: Recipe, rates: Rates) -> float:
    """Seconds of one training image, wherever the recipe trains."""
    points = recipe.training.densification.target if recipe.training.densification else recipe.start.n_points
    flop = recipe.avatar.decoder.training_flop(points)
    if recipe.cluster.train.gpus:
        return rates.gpu_image_s + flop / rates.gpu_flop_per_s
    return rates.cpu_image_s + flop / rates.cpu_flop_per_s


def mean_edit_s(recipe: Recipe, rates: Rates) -> float:
    """Seconds of a worker for an edit, the mean over all edits."""
    counts = dict(recipe.prompts.counts)
    total = sum(_edit_s(editor_of(recipe, category), category, rates) * n for category, n in counts.items())
    return total / max(sum(counts.values()), 1)


def _edit_s(editor: object, category: Category, rates: Rates) -> float:
    if not isinstance(editor, DiffusionEditorConfig):
        return rates.procedural_edit_s
    return rates.diffusion_step_s * (editor.inpainter.steps + editor.mask_portrait.steps)


def editor_of(recipe: Recipe, category: Category) -> object:
    """The editor of a category."""
    return recipe.editor.of(category) if isinstance(recipe.editor, EditorByCategoryConfig) else recipe.editor


def mean_clip_s(recipe: Recipe, rates: Rates) -> float:
    """Seconds of a worker for a clip, the mean over all clips."""
    counts: list[tuple[Category | None, int]] = [(None, 1), *recipe.prompts.counts]
    total = sum(sum(clip_cost(animator_of(recipe, category), recipe, rates)) * n for category, n in counts)
    return total / sum(n for _, n in counts)


def clip_cost(animator: object, recipe: Recipe, rates: Rates) -> tuple[float, float]:
    """Seconds of a GPU, and of a core beside it, for one clip."""
    frames, megapixels = n_frames(recipe), recipe.filming.size_px**2 / 1e6
    if isinstance(animator, PortraitChampConfig):
        drawn = _champ_s(animator, frames, rates)
    elif isinstance(animator, LivePortraitConfig):
        drawn = frames * rates.liveportrait_frame_s
    else:
        return 0.0, frames * megapixels * rates.frame_s_per_megapixel
    if isinstance(animator.segmenter, LandmarkSegmenterConfig):
        return drawn, frames * rates.landmark_parse_frame_s
    return drawn + frames * rates.parse_frame_s, 0.0


def _champ_s(animator: PortraitChampConfig, frames: int, rates: Rates) -> float:
    """Seconds of a GPU that portrait-Champ draws for; frames that two windows share are drawn twice."""
    sampling = animator.sampling
    drawn = sum(end - start for start, end in context_windows(frames, sampling.window, sampling.overlap))
    passes = sampling.steps * (2 if sampling.guidance != 1 else 1)
    return drawn * passes * rates.champ_pass_s * (animator.size_px / 512) ** 2


def animator_of(recipe: Recipe, category: Category | None) -> object:
    """The animator of a category; None is the reference."""
    return recipe.animator.of(category) if isinstance(recipe.animator, AnimatorByCategoryConfig) else recipe.animator
