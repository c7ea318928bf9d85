"""Edits of a body: one row a prompt, through Ray Data or in this process. Edited, filmed and learned in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from perse.body.avatar.learned_edit import LearnedEdit
from perse.body.editing import edit_person
from perse.body.fitting.storage import face_from_table, person_from_bytes
from perse.body.training.edits import film_edit, learn_edit
from perse.body.training.trainer import trained_avatar
from perse.data import AttributePrompt, archive
from perse.data.images import encode_image
from perse.data.keys import content_key
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.recipes.body import BodyRecipe
from perse_ray.build.body_films import FACE, PERSON
from perse_ray.build.components import pool_of
from perse_ray.build.worker_rows import settled_rows
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.quarantine import quarantined
from perse_ray.rows.stage import FAILED, KEY, NAME, STATUS, Row, RowWork, Value

STAGE = "edit"


@dataclass(frozen=True)
class EditFiles:
    """Files of an edit: where what came of a prompt lies.

    Attributes:
        learned: what it makes of the avatar's points.
        picture: the photograph after the edit.
        edited, plain: frames that nobody learned from, of the edited person and of the unedited one, as large as the
            avatar is shown: a hat of 15 pixels is mostly edge.
    """

    learned: str
    picture: str
    edited: str
    plain: str

    @classmethod
    def of(cls, key: str) -> EditFiles:
        place = f"body/edits/{key}"
        return cls(f"{place}.safetensors", f"{place}.png", f"{place}-edited.npz", f"{place}-plain.npz")

    @property
    def all(self) -> tuple[str, ...]:
        return self.learned, self.picture, self.edited, self.plain


@dataclass(frozen=True, kw_only=True)
class EditWork:
    """Work of a row: from a prompt to what it makes of the avatar."""

    workspace: Workspace
    """Where person and trained avatar are, and edits go."""
    recipe: BodyRecipe
    """Who films, and how edits are learned."""
    prompts: tuple[AttributePrompt, ...]
    """A row names one by its number."""
    stage: str
    """Of the checkpoint with the trained avatar."""

    def build(self) -> RowWork:
        return _Editing(self)


class _Editing:
    def __init__(self, work: EditWork) -> None:
        self._work, self._recipe, self._workspace = work, work.recipe, work.workspace
        self._person = person_from_bytes(self._workspace.read(PERSON), self._recipe.body.load())
        self._face = face_from_table(self._workspace.read_table(FACE)) if self._workspace.has(FACE) else None
        checkpoint = CheckpointFolder(self._workspace, work.stage).load()
        assert checkpoint is not None, "the training is finished, and its manifest was checked"
        self._avatar = trained_avatar(checkpoint)
        self._animator = self._recipe.animator.build()

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        files = EditFiles.of(str(row[KEY]))
        if not is_made(self._workspace, dict(row)):
            self._edit(self._work.prompts[int(row["number"])], files)
        return {"edited": True}

    def _edit(self, prompt: AttributePrompt, files: EditFiles) -> None:
        recipe, person = self._recipe, self._person
        edited = edit_person(person, self._face, prompt)
        filmed, captured = film_edit(
            person, edited, self._animator, recipe.editing, recipe.size_px, recipe.captured_px, recipe.patch_px
        )
        learned = learn_edit(
            self._avatar, person.dressed, edited, filmed, captured, recipe.editing, recipe.rasterizer,
            recipe.training.seed,
        )  # fmt: skip
        for name, dressed in ((files.plain, person.dressed), (files.edited, edited.dressed)):
            clip = self._animator.film(dressed, recipe.editing.measured, recipe.shown_px)
            self._workspace.write(name, clip.to_bytes())
        self._workspace.write(files.picture, encode_image(edited.picture))
        self._workspace.write(files.learned, learned.to_bytes())


def edit_rows(recipe: BodyRecipe, prompts: Sequence[AttributePrompt], trained: str) -> list[Row]:
    """A row for each prompt.

    Args:
        trained: digest of the trained avatar.
    """
    maker = (recipe.animator, fingerprint(recipe.animator), fingerprint(recipe.editing), recipe.editing)
    sizes = (recipe.size_px, recipe.captured_px, recipe.patch_px, recipe.shown_px)
    return [
        {KEY: content_key("body-edit", trained, prompt, *maker, *sizes)[:32], NAME: prompt.text, "number": number}
        for number, prompt in enumerate(prompts)
    ]


def edit_all(
    workspace: Workspace, recipe: BodyRecipe, prompts: tuple[AttributePrompt, ...], rows: Sequence[Row], stage: str,
    show: Callable[[str], None] | None,
) -> list[QuarantinedRow]:  # fmt: skip
    """Make what is missing; rows that failed, now or in an earlier run, are in quarantine and given back. Needs a
    running Ray, but for a pool of this process."""
    known = {row.key: row for row in archive.load_quarantined(workspace)}
    missing = [row for row in rows if row[KEY] not in known and not is_made(workspace, row)]
    if missing:
        work = EditWork(workspace=workspace, recipe=recipe, prompts=prompts, stage=stage)
        edit = pool_of(recipe.animate).stage(STAGE, work, ("number",), (("edited", False),))
        for row in settled_rows(workspace, missing, edit, recipe.animate, show):
            if row[STATUS] == FAILED:
                known[str(row[KEY])] = quarantined(row)
                archive.save_quarantined(workspace, known[str(row[KEY])])
    return [known[str(row[KEY])] for row in rows if row[KEY] in known]


def is_made(workspace: Workspace, row: Row) -> bool:
    """Whether all files of an edit are there."""
    return all(workspace.has(name) for name in EditFiles.of(str(row[KEY])).all)


def read_learned(workspace: Workspace, key: str) -> LearnedEdit:
    """Learned edit of a prompt.

    Raises:
        DamagedFile: it is not what was written.
    """
    return LearnedEdit.from_bytes(workspace.read(EditFiles.of(key).learned))
