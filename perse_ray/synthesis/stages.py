"""Stages of the synthesis: edit, screen, animate, over one small row for each prompt.

A row carries keys and the prompt; pictures and clips lie in the workspace under those keys. Each work looks first
whether its result is already there, so repeating a row costs nothing and never duplicates.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import groupby

from perse.attributes import Category
from perse.data import AttributePrompt, EditedPortrait, TrackedPortrait, Verdict, archive
from perse.data.keys import clip_key, edit_key, verdict_key
from perse.data.tables import prompt_to_row, row_to_prompt
from perse.data.workspace import Workspace
from perse.errors import GenerationError, PerseError
from perse.head.sources import HeadSource
from perse.synthesis.clip_check import check_clip
from perse.synthesis.edit_check import check_edit
from perse.synthesis.production import AnimatorByCategoryConfig, EditorByCategoryConfig
from perse.synthesis.seams import (
    AnimatorConfig,
    BatchEditor,
    EditorConfig,
    ScreenConfig,
    ShotConfig,
)
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.stage import KEY, NAME, Pool, Row, RowWork, Stage, Value

KEPT_PORTRAITS = 16
"""In a worker, where rows of several people come mixed; a few MiB each."""

REFERENCE = "reference"
"""Name of the row that films the portrait itself."""


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """Configuration of a synthesis: frozen configurations of all that turns prompts into clips, built where they run.

    Attributes:
        head, editor, screen, animator, filming: what to use; all of them are part of the content keys, with the code
            behind them and the content of the files that they name.
        edit_pool, screen_pool, animate_pool: how to run it; not part of any key.
    """

    head: HeadSource
    editor: EditorConfig
    screen: ScreenConfig
    animator: AnimatorConfig
    filming: ShotConfig
    edit_pool: Pool = field(default_factory=Pool)
    screen_pool: Pool = field(default_factory=Pool)
    animate_pool: Pool = field(default_factory=Pool)

    def row(self, identity: str, prompt: AttributePrompt | None) -> Row:
        """Row of a prompt or, with None, of the reference clip."""
        if prompt is None:
            key = self._clip_key(identity, None)
            return {KEY: key, NAME: REFERENCE, "prompt": "", "edit": "", "verdict": "", "clip": key}
        editor = self.editor_of(prompt.category)
        edit = edit_key(identity, prompt, (editor, self.head), self._fingerprints[prompt.category.value])
        verdict = verdict_key(edit, (self.screen, self.head), self._fingerprints["screen"])
        clip = self._clip_key(edit, prompt.category)
        text = json.dumps(prompt_to_row(prompt))
        return {KEY: clip, NAME: prompt.key, "prompt": text, "edit": edit, "verdict": verdict, "clip": clip}

    def editor_of(self, category: Category) -> EditorConfig:
        """Editor of a category. Where a recipe has several editors, changing one leaves the others' edits alone."""
        return self.editor.of(category) if isinstance(self.editor, EditorByCategoryConfig) else self.editor

    def animator_of(self, category: Category | None) -> AnimatorConfig:
        """Animator of edits of a category, or of the reference. Another animator of hats leaves the noses' clips
        alone."""
        return self.animator.of(category) if isinstance(self.animator, AnimatorByCategoryConfig) else self.animator

    def _clip_key(self, subject: str, category: Category | None) -> str:
        animator = self.animator_of(category)
        made_with = self._fingerprints[f"animator of {category}"]
        return clip_key(subject, (animator, self.head), self.filming, made_with)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        """Of code and files, once for all rows."""
        editors = {category.value: fingerprint(self.editor_of(category), self.head) for category in Category}
        animators = {
            f"animator of {category}": fingerprint(self.animator_of(category), self.head, self.filming)
            for category in (None, *Category)
        }
        return {**editors, **animators, "screen": fingerprint(self.screen, self.head)}


WORKSPACE = "workspace"
"""Column with the workspace of a row's person, where rows of several people share the workers."""


def synthesis_stages(workspace: Workspace | None, config: SynthesisConfig) -> tuple[Stage, ...]:
    """Stages of the synthesis, in order. The tracked portrait must lie in the workspace.

    Args:
        workspace: of all rows; None where each row names its own in the column `WORKSPACE`.
    """

    def stage(name: str, pool: Pool, reads: tuple[str, ...], writes: tuple[tuple[str, Value], ...]) -> Stage:
        return pool.stage(name, _SynthesisWork(step=name, workspace=workspace, config=config), reads, writes)

    screen = stage("screen", config.screen_pool, ("edit", "verdict"), (("accepted", False), ("screen_s", 0.0)))
    return (
        stage("edit", config.edit_pool, ("prompt", "edit", "clip"), (("edit_s", 0.0),)),
        replace(screen, announced=True),  # who is refused is replaced at once, not when the animators have time for it
        stage("animate", config.animate_pool, ("edit", "clip", "accepted"), (("filmed", False), ("animate_s", 0.0))),
    )


@dataclass(frozen=True, kw_only=True)
class _SynthesisWork:
    """A stage's work by name; a value, so that it travels."""

    step: str
    workspace: Workspace | None
    config: SynthesisConfig

    def build(self) -> RowWork:
        steps: dict[str, Callable[[_Homes, SynthesisConfig], RowWork]] = {
            "edit": _Edit,
            "screen": _Screen,
            "animate": _Animate,
        }
        return steps[self.step](_Homes(self.workspace), self.config)


@dataclass(frozen=True)
class _Home:
    """Whose a row is."""

    workspace: Workspace
    portrait: TrackedPortrait


class _Homes:
    """The people whose rows a worker meets; their portraits are kept, the weights serve them all."""

    def __init__(self, workspace: Workspace | None) -> None:
        self._all = None if workspace is None else _home(workspace)

    def of(self, row: Mapping[str, Value]) -> _Home:
        """The row's workspace and portrait."""
        return self._all or _home(Workspace(str(row[WORKSPACE])))


@lru_cache(maxsize=KEPT_PORTRAITS)
def _home(workspace: Workspace) -> _Home:
    return _Home(workspace, archive.load_portrait(workspace))


class _Edit:
    """Prompt → edits/<edit>.parquet. The reference row passes by, and so does one whose clip is there."""

    def __init__(self, homes: _Homes, config: SynthesisConfig) -> None:
        self.homes = homes
        self.editor = config.editor.build(config.head.load())
        self.ready: dict[str, tuple[EditedPortrait | PerseError, float]] = {}

    def prepare(self, rows: Sequence[Mapping[str, Value]]) -> None:
        """Edit several prompts at once, where the editor is a `BatchEditor`."""
        wanted = [row for row in rows if self._is_wanted(row)]
        if not isinstance(self.editor, BatchEditor) or not wanted:
            return
        start, outcomes = time.perf_counter(), []
        for _, same in groupby(wanted, key=lambda row: str(row.get(WORKSPACE, ""))):
            of_one = list(same)
            edits = self.editor.edit_many(self.homes.of(of_one[0]).portrait, [_prompt(row) for row in of_one])
            outcomes += list(zip(of_one, edits, strict=True))
        each_s = (time.perf_counter() - start) / len(wanted)
        self.ready = {str(row["edit"]): (one, each_s) for row, one in outcomes}

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        if not self._is_wanted(row):
            return {}
        start = time.perf_counter()
        edit, prompt, home = str(row["edit"]), _prompt(row), self.homes.of(row)
        edited, before_s = self.ready.pop(edit, (None, 0.0))
        if isinstance(edited, PerseError):
            raise edited
        edited = edited or self.editor.edit(home.portrait, prompt)
        if not isinstance(edited, EditedPortrait):
            raise GenerationError(f"the editor returned a {type(edited).__name__}, expected an EditedPortrait")
        check_edit(edited, home.portrait)
        archive.save_edit(home.workspace, replace(edited, key=edit, prompt=prompt))
        return {"edit_s": before_s + time.perf_counter() - start}

    def _is_wanted(self, row: Mapping[str, Value]) -> bool:
        return bool(row["edit"]) and not self.homes.of(row).workspace.has(f"edits/{row['edit']}.parquet")


def _prompt(row: Mapping[str, Value]) -> AttributePrompt:
    return row_to_prompt(json.loads(str(row["prompt"])))


class _Screen:
    """edits/<edit>.parquet → edits/verdicts/<verdict>.parquet. The reference is always accepted."""

    def __init__(self, homes: _Homes, config: SynthesisConfig) -> None:
        self.homes = homes
        self.screen = config.screen.build(config.head.load())

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        edit, key = str(row["edit"]), str(row["verdict"])
        if not edit:
            return {"accepted": True}
        home = self.homes.of(row)
        if home.workspace.has(f"edits/verdicts/{key}.parquet"):
            return {"accepted": archive.load_verdict(home.workspace, key).accepted}
        start = time.perf_counter()
        verdict: Verdict = self.screen.screen(home.portrait, archive.load_edit(home.workspace, edit))
        archive.save_verdict(home.workspace, key, edit, verdict)
        return {"accepted": verdict.accepted, "screen_s": time.perf_counter() - start}


class _Animate:
    """edits/<edit>.parquet, if it was accepted → clips/<clip>.parquet."""

    def __init__(self, homes: _Homes, config: SynthesisConfig) -> None:
        head = config.head.load()
        self.homes = homes
        self.animator = config.animator.build(head)
        self.shot = config.filming.shot(head)

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        edit, key = str(row["edit"]), str(row["clip"])
        if not row["accepted"]:
            return {}
        home = self.homes.of(row)
        if home.workspace.has(f"clips/{key}.parquet"):
            return {"filmed": True}
        start = time.perf_counter()
        edited = archive.load_edit(home.workspace, edit) if edit else None
        clip = self.animator.animate(home.portrait, edited, self.shot)
        check_clip(clip, self.shot)
        archive.save_clip(home.workspace, key, replace(clip, key=edit or home.portrait.key))
        return {"filmed": True, "animate_s": time.perf_counter() - start}
