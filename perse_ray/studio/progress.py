"""Progress of a build: its stages, how long the rest takes, and the edits that it has made so far."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq

from perse.attributes import Category
from perse.data import archive
from perse.data.images import decode_image, encode_image
from perse.errors import PerseError
from perse.recipes import recipe_named
from perse.synthesis.prompts import PromptPlan
from perse_ray.build.plan import planned_stages
from perse_ray.runtime.progress import Told, read_log
from perse_ray.studio.project import LOG, Phase, Project, Projects, Wish

STAGES = {
    "track": "Finding the head",
    "synthesize": "Making and filming the edits",
    "encode": "Describing the edits",
    "set_up": "Placing the Gaussians",
    "train": "Training the avatar",
    "evaluate_before": "Measuring it",
    "finetune": "Smoothing the ways between edits",
    "evaluate": "Measuring it again",
    "export": "Putting it together",
    "report": "Drawing the report",
    "register": "Keeping it",
}
"""Stages in order, and what a person calls them."""

BETWEEN_EDITS = ("finetune", "evaluate")
"""Stages that need two edits of a category."""

_START_S = {
    "track": 6.0,
    "synthesize": 12.0,
    "encode": 3.0,
    "set_up": 2.0,
    "export": 1.0,
    "report": 8.0,
    "register": 3.0,
}
"""What stages cost that the plan does not count, or on top of it: a Ray, files, pictures. Measured on two cores."""

THUMBNAIL_PX = 192


@dataclass(frozen=True)
class StageProgress:
    """Progress of one stage of a build.

    Attributes:
        name, title: for programs and for people.
        state: "done", "now" or "next".
        share: of it that is done, 0 to 1.
    """

    name: str
    title: str
    state: str
    share: float


@dataclass(frozen=True)
class BuildProgress:
    """Progress of a build as seen from outside.

    Attributes:
        stages: all of them, in order.
        share: of the whole that is done, 0 to 1.
        to_go_s: an estimate; None where nothing can be said.
        counting: how much of the stage under way is done, such as "3 of 8"; empty where it does not say.
    """

    stages: tuple[StageProgress, ...]
    share: float
    to_go_s: float | None
    counting: str


@dataclass(frozen=True)
class MadeEdit:
    """Edit that has been made.

    Attributes:
        key: of the edited portrait.
        phrase: what was asked for.
        verdict: "waiting", "accepted" or "rejected".
        reasons: why not.
    """

    key: str
    category: Category
    phrase: str
    verdict: str
    reasons: tuple[str, ...]


def progress_of(projects: Projects, project: Project, now: float | None = None) -> BuildProgress | None:
    """Progress of the newest build; None before the first."""
    if not project.started:
        return None
    told = _told(projects.file(project.id, LOG))
    expected = expected_s(project.recipe, project.wishes)
    finished = project.phase is Phase.FINISHED
    stages, left, spent_plan = [], 0.0, 0.0
    current = next((name for name in expected if name not in told.finished), "")
    for name, seconds in expected.items():
        if name in told.finished or finished:
            state, share = "done", 1.0
        elif name == current:
            state, share = "now", told.done / told.total if told.total else 0.0
        else:
            state, share = "next", 0.0
        stages.append(StageProgress(name, STAGES[name], state, round(share, 3)))
        spent_plan += share * seconds
        left += (1 - share) * seconds
    whole = spent_plan + left
    to_go = None
    if project.phase is Phase.BUILDING:
        to_go = _to_go_s(expected, told, stages, (now or time.time()) - project.started)
    counting = f"{told.done} of {told.total}" if told.total and not finished else ""
    return BuildProgress(tuple(stages), 1.0 if finished else round(spent_plan / whole, 3), to_go, counting)


def _to_go_s(expected: Mapping[str, float], told: Told, stages: Sequence[StageProgress], elapsed_s: float) -> float:
    """The rest of the plan, at the pace of this run once that says something: a busy machine is slower than the plan.
    What was finished before this run cost it nothing, and says nothing of its pace."""
    planned, spent = sum(expected[name] for name in told.took), sum(told.took.values())
    current_s, left = elapsed_s - spent, 0.0
    for stage in stages:
        rest = (1 - stage.share) * expected[stage.name]
        if stage.state == "now" and told.to_go_s is not None and rest > 0:
            done = stage.share * expected[stage.name]  # as if all of it had gone at the newest pace
            planned, spent = planned + done, spent + done * told.to_go_s / rest
        elif stage.state == "now" and current_s > expected[stage.name]:
            planned, spent, left = planned + expected[stage.name], spent + current_s, left + rest
        else:
            left += rest
    trust = min(planned / 30.0, 1.0)
    pace = spent / planned if planned > 1 else 1.0
    return round((told.to_go_s or 0.0) + left * (1 + trust * (max(pace, 0.2) - 1)), 1)


def expected_s(recipe: str, wishes: tuple[Wish, ...]) -> dict[str, float]:
    """Seconds that a build's stages take by the plan, in order; without those that it leaves out."""
    return dict(_expected_s(recipe, tuple(sorted(Counter(wish.category.value for wish in wishes).items()))))


@lru_cache(maxsize=64)
def _expected_s(recipe: str, counts: tuple[tuple[str, int], ...]) -> tuple[tuple[str, float], ...]:
    asked = recipe_named(recipe)
    plan = replace(asked, prompts=PromptPlan(tuple((Category(name), number) for name, number in counts)))
    planned = planned_stages(plan)
    synthesis = max(stage.wall_s for stage in planned[:3])
    by_name = {stage.name: stage.wall_s for stage in planned[3:]}
    seconds = {
        "synthesize": synthesis,
        "encode": by_name.get("encode", 0.0),
        "set_up": by_name.get("set up", 0.0),
        "train": by_name.get("train", 0.0),
        "evaluate_before": by_name.get("evaluate", 0.0),
        "finetune": max(by_name.get("finetune", 0.0), by_name.get("morph", 0.0)),
        "evaluate": by_name.get("evaluate", 0.0),
    }
    walks = asked.finetuning is not None and any(number > 1 for _, number in counts)
    names = [name for name in STAGES if walks or name not in BETWEEN_EDITS]
    return tuple((name, seconds.get(name, 0.0) + _START_S.get(name, 0.0)) for name in names)


def _told(file: Path) -> Told:
    try:
        return read_log(file.read_text(errors="replace"))
    except OSError:
        return Told()


class Gallery:
    """Cache of the edits of projects, read once each."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects
        self._edits: dict[tuple[str, str], tuple[Category, str]] = {}
        self._verdicts: dict[tuple[str, str], tuple[str, bool, tuple[str, ...]]] = {}

    def edits(self, project: Project) -> list[MadeEdit]:
        """Edits that were made for the wishes of now, in the wishes' order."""
        workspace, name = self._projects.workspace(project.id), project.id
        for key in workspace.names("edits", ".parquet"):
            if (name, key) not in self._edits:
                row = pq.read_table(self._file(name, key), columns=["category", "text"]).to_pylist()[0]
                self._edits[name, key] = (Category(row["category"]), row["text"])
        for key in workspace.names("edits/verdicts", ".parquet"):
            if (name, key) not in self._verdicts:
                table = workspace.read_table(f"edits/verdicts/{key}.parquet")
                verdict = archive.load_verdict(workspace, key)
                self._verdicts[name, key] = (table["key"][0].as_py(), verdict.accepted, verdict.reasons)
        judged = {one[0]: one for (owner, _), one in self._verdicts.items() if owner == name}
        made = [
            MadeEdit(key, category, text, *_verdict(judged.get(key)))
            for (owner, key), (category, text) in self._edits.items()
            if owner == name
        ]
        return _in_order(made, project.wishes)

    def picture(self, name: str, key: str) -> bytes:
        """A small picture of an edit, WebP.

        Raises:
            PerseError: there is none.
        """
        if key not in self._projects.workspace(name).names("edits", ".parquet"):
            raise PerseError("there is no such edit")
        return _thumbnail(str(self._file(name, key)))

    def forget(self, name: str) -> None:
        """Drop what is kept of a project in memory."""
        self._edits = {at: one for at, one in self._edits.items() if at[0] != name}
        self._verdicts = {at: one for at, one in self._verdicts.items() if at[0] != name}
        _thumbnail.cache_clear()

    def _file(self, name: str, key: str) -> Path:
        return self._projects.runs / name / "edits" / f"{key}.parquet"


def _verdict(judged: tuple[str, bool, tuple[str, ...]] | None) -> tuple[str, tuple[str, ...]]:
    if judged is None:
        return "waiting", ()
    return ("accepted" if judged[1] else "rejected"), judged[2]


def _in_order(made: list[MadeEdit], wishes: tuple[Wish, ...]) -> list[MadeEdit]:
    """Without those of earlier wishes; all of a build that nobody wished anything of here."""
    if not wishes:
        return made
    place = {(wish.category, wish.phrase): number for number, wish in enumerate(wishes)}

    def of(one: MadeEdit) -> int | None:
        found = [
            number
            for (category, phrase), number in place.items()
            if category is one.category and one.phrase.endswith(phrase)
        ]
        return min(found, default=None)

    placed = [(number, one) for one in made if (number := of(one)) is not None]
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


@lru_cache(maxsize=512)
def _thumbnail(file: str) -> bytes:
    from PIL import Image

    png = pq.read_table(file, columns=["image"])["image"][0].as_py()
    picture = Image.fromarray(decode_image(png))
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    import numpy as np

    return encode_image(np.asarray(picture), "webp", quality=80, fast=True)
