"""Sizes of a build on the disk and in memory."""

from __future__ import annotations

from perse.data.clip_file import DECODED_BYTES
from perse.recipes import Recipe
from perse_ray.build.plan.costs import n_frames, n_prompts
from perse_ray.build.plan.rates import ESTIMATES, Rates


def disk_gib(recipe: Recipe, rates: Rates = ESTIMATES) -> float:
    """Growth of the workspace, without checkpoints, GiB."""
    return clips_gib(recipe, rates) + edits_gib(recipe, rates)


def clips_gib(recipe: Recipe, rates: Rates) -> float:
    """Size of all clips, GiB."""
    return (n_prompts(recipe) + 1) * n_frames(recipe) * recipe.filming.size_px**2 * rates.clip_bytes_per_pixel / 2**30


def edits_gib(recipe: Recipe, rates: Rates) -> float:
    """Size of all edits, GiB."""
    return n_prompts(recipe) * recipe.tracker.crop.size_px**2 * rates.edit_bytes_per_pixel / 2**30


def decoded_gib(recipe: Recipe) -> float:
    """Size of all frames of all clips, decoded, GiB."""
    return (n_prompts(recipe) + 1) * n_frames(recipe) * recipe.filming.size_px**2 * DECODED_BYTES / 2**30


def kept_gib(recipe: Recipe) -> float:
    """Size of the decoded frames that one process keeps, GiB."""
    return min(decoded_gib(recipe), recipe.cluster.clips_mib / 1024)


def watched_gib(recipe: Recipe) -> float:
    """Size of the decoded frames that are held at once while the avatar is set up, GiB."""
    subjects = min(n_prompts(recipe), recipe.start.watched_subjects or n_prompts(recipe))
    frames = (subjects + 1) * min(recipe.start.watched_frames, len(recipe.filming.train_frames))
    return frames * recipe.filming.size_px**2 * DECODED_BYTES / 2**30
