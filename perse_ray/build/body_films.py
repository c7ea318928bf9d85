"""Films of a fitted person: one row a motion, through Ray Data or in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from perse.body.animation.motions import Filmed
from perse.body.fitting.storage import person_from_bytes
from perse.data.keys import content_key
from perse.data.workspace import Workspace
from perse.recipes.body import BodyRecipe
from perse_ray.build.components import pool_of
from perse_ray.build.worker_rows import every_row
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.stage import KEY, NAME, Row, RowWork, Value

PERSON = "body/person.safetensors"
"""The fitted person."""
FACE = "body/face.parquet"
"""The tracked face, where there is one."""


def clip_file(key: str) -> str:
    """Name of a filmed motion's file."""
    return f"body/clips/{key}.npz"


@dataclass(frozen=True, kw_only=True)
class FilmWork:
    """Work of a row: from a motion to its clip."""

    workspace: Workspace
    """Where the person is and clips go."""
    recipe: BodyRecipe
    """Who films, and how large."""

    def build(self) -> RowWork:
        return _Filming(self)


class _Filming:
    def __init__(self, work: FilmWork) -> None:
        self._workspace, self._recipe = work.workspace, work.recipe
        self._person = person_from_bytes(work.workspace.read(PERSON), work.recipe.body.load()).dressed
        self._animator = work.recipe.animator.build()

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        place = clip_file(str(row[KEY]))
        if not self._workspace.has(place):
            filmed = Filmed(str(row[NAME]), int(row["frames"]), float(row["seconds"]))
            clip = self._animator.film(self._person, filmed, self._recipe.size_px)
            self._workspace.write(place, clip.to_bytes())
        return {"filmed": True}


def film_rows(recipe: BodyRecipe, fitted: str) -> list[Row]:
    """A row for each motion, of the trained ones first.

    Args:
        fitted: digest of the fitted person.
    """
    maker = (recipe.animator, fingerprint(recipe.animator), recipe.size_px)
    return [
        {
            KEY: content_key("body-clip", fitted, filmed, *maker)[:32], NAME: filmed.name, "frames": filmed.frames,
            "seconds": filmed.seconds,
        }
        for filmed in (*recipe.motions, *recipe.unseen)
    ]  # fmt: skip


def film(workspace: Workspace, recipe: BodyRecipe, rows: Sequence[Row], show: Callable[[str], None] | None) -> None:
    """Film what is missing. Needs a running Ray, but for a pool of this process.

    Raises:
        StageError: a motion could not be filmed.
    """
    missing = [row for row in rows if not workspace.has(clip_file(str(row[KEY])))]
    if not missing:
        return
    stage = pool_of(recipe.animate).stage(
        "film", FilmWork(workspace=workspace, recipe=recipe), ("frames", "seconds"), (("filmed", False),)
    )
    every_row(workspace, missing, stage, recipe.animate, show)
