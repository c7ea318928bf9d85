"""Start of the avatar before its training: its points, its latent space, its subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perse.attributes import Category
from perse.avatar import Subject, create_avatar
from perse.data import archive
from perse.data.presence import absent_categories
from perse.data.workspace import Workspace
from perse.recipes import Recipe
from perse.training import initial_checkpoint
from perse_ray.build.features import load_features
from perse_ray.build.manifests import Result
from perse_ray.build.run import BuildRun
from perse_ray.build.worker_rows import run_once
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.rows.fingerprint import files_fingerprint, fingerprint
from perse_ray.training.clips import load_clips, training_frames


@dataclass(frozen=True, kw_only=True)
class NewAvatar:
    """Task of making an avatar, as a value that travels to who makes it."""

    workspace: Workspace
    """Where everything is."""
    recipe: Recipe
    """Its numbers."""
    clips: tuple[str, ...]
    """Content keys of the clips, the reference's first."""
    subjects: tuple[Subject, ...]
    """Rows of its table."""
    features: tuple[str, ...]
    """Files of f_I and f_T."""
    absent: tuple[Category, ...]
    """Categories that the portrait does not show."""


def make_avatar(new: NewAvatar) -> None:
    """Write the first checkpoint of a training.

    The machine that does it holds the watched frames: `perse_ray.build.plan.watched_gib`.
    """
    recipe = new.recipe
    clips = training_frames(load_clips(new.workspace, new.clips, recipe.cluster.clips_mib), recipe.filming.train_frames)
    features = load_features(new.workspace, new.features)
    avatar = create_avatar(
        recipe.head.load(),
        [clips.clip(row) for row in range(clips.n_subjects)],
        new.subjects,
        features.image,
        features.text,
        new.absent,
        recipe.avatar,
        recipe.start,
        seed=recipe.training.seed,
        encoder=recipe.encoder.name,
    )
    folder = CheckpointFolder(new.workspace, "train")
    folder.clear()
    folder.save(initial_checkpoint(avatar, recipe.training))


class SetUp:
    """Stage from clips and features to the first checkpoint of the training."""

    name = "set_up"
    after = ("encode",)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        """Values of the whole training too: one that is wanted otherwise begins anew."""
        recipe = run.recipe
        captured = () if run.captured is None else (run.captured,)
        return (
            *captured, run.clips, recipe.filming.train_frames, recipe.head, fingerprint(recipe.head), recipe.encoder,
            recipe.avatar, recipe.start, recipe.training, recipe.rasterizer, files_fingerprint(recipe.training),
        )  # fmt: skip

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        run.tell("set_up: where the points start")
        new = NewAvatar(
            workspace=run.request.workspace,
            recipe=run.recipe,
            clips=run.clips,
            subjects=run.subjects,
            features=tuple(run.results["encode"]["files"]),
            absent=tuple(absent_categories(archive.load_portrait(run.request.workspace))),
        )
        run_once(run, "set up the avatar", make_avatar, new, pool=run.recipe.cluster.set_up)
        return {}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        """Nothing to check: training moves its checkpoint on, and checks what it finds."""
        return ()
