"""Schema of the studio's routes: what they are asked and answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from perse.attributes import Category, Part
from perse_ray.serving.schema.requests import Strict

MAX_WISHES = 60
"""Of one build; a laptop makes one in a few seconds, and filming it takes longer."""

RecipeName = Literal["laptop", "laptop-closed", "tiny"]
Words = Annotated[str, Field(min_length=1, max_length=200)]


class RecipeInfo(Strict):
    """A way to build."""

    name: RecipeName
    title: str
    note: str


RECIPES = (
    RecipeInfo(name="laptop", title="Usual", note="256 px; best from the front and from the sides"),
    RecipeInfo(name="laptop-closed", title="All around", note="256 px; closed from behind, a little softer in front"),
    RecipeInfo(name="tiny", title="Quick try", note="64 px, about a minute; only to see how it goes"),
)


class PartInfo(Strict):
    """A part of the portrait and its colour in the pictures of parts."""

    name: str
    color: tuple[int, int, int]


class CategoryInfo(Strict):
    """A kind of edit, with phrases to begin with."""

    name: Category
    suggestions: list[str]


class StudioInfo(Strict):
    """Description of the studio: what it can do."""

    recipes: list[RecipeInfo]
    categories: list[CategoryInfo]
    parts: list[PartInfo]
    max_wishes: int
    max_photograph_bytes: int


class FaceInfo(Strict):
    """A face; its box in shares of the picture's size."""

    left: float
    top: float
    width: float
    height: float


class FoundInfo(Strict):
    """Findings of the tracker in the photograph. `error` says why it cannot be used."""

    faces: list[FaceInfo]
    error: str
    size_px: int
    fit_rms_px: float
    face_width_px: float
    parts: dict[str, float]


class ConsentFields(Strict):
    """Consent as a person gives it: who, to what, and until when (ISO 8601; empty: without end)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"who": "Ada Lovelace", "purpose": "our film", "expires": "2027-11-01"}]}
    )

    who: Words
    purpose: Annotated[str, Field(min_length=1, max_length=500)]
    expires: Annotated[str, Field(max_length=10)] = ""


class ConsentAnswer(ConsentFields):
    """Consent that was kept, with the day on which it was given."""

    date: str


class WishWords(Strict):
    """A wish in a person's own words."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"category": "hat", "text": "a red beanie"}]})

    category: Category
    text: Words


class WishInfo(Strict):
    """A wish as the vocabulary has it."""

    category: Category
    phrase: str


class UnderstoodInfo(Strict):
    """Meaning of a wish. `unknown` cannot be expressed at all, `unmet` does not go together with the rest."""

    phrase: str
    unknown: list[str]
    unmet: list[str]
    completions: list[str]


class Wishes(Strict):
    """The looks that are wanted, and how the avatar is built."""

    recipe: RecipeName = "laptop"
    wishes: Annotated[list[WishWords], Field(max_length=MAX_WISHES)]


class FaceChoice(Strict):
    """Face that is meant, counted from 1 at the left."""

    face: Annotated[int, Field(ge=1, le=100)]


class StageInfo(Strict):
    """A stage of a build."""

    name: str
    title: str
    state: Literal["done", "now", "next"]
    share: float


class ProgressInfo(Strict):
    """Progress of a build."""

    stages: list[StageInfo]
    share: float
    to_go_s: float | None
    counting: str


class EditInfo(Strict):
    """An edit that was made, and what the screen says of it."""

    key: str
    category: Category
    phrase: str
    verdict: Literal["waiting", "accepted", "rejected"]
    reasons: list[str]


class ProjectInfo(Strict):
    """A project, whole."""

    id: str
    name: str
    created: float
    phase: Literal["looking", "draft", "queued", "building", "stopped", "failed", "finished", "leaving"]
    face: int | None
    found: FoundInfo
    pictures: dict[str, str]
    consent: ConsentAnswer | None
    recipe: str
    wishes: list[WishInfo]
    missing: str
    estimate_s: float
    before: int
    progress: ProgressInfo | None
    edits: list[EditInfo]
    avatar: bool
    report: bool
    message: str


class ProjectLine(Strict):
    """A project in a list."""

    id: str
    name: str
    created: float
    phase: str
    avatar: bool


class RemovedInfo(Strict):
    """Result of a removal; `number` counts them since the studio began."""

    number: int
    id: str
    files: int
    mib: float
    models: list[str]
    left: list[str]
    problems: list[str]


class ProjectList(Strict):
    """All projects, the newest first, and what was removed lately."""

    projects: list[ProjectLine]
    removed: list[RemovedInfo]


def part_infos() -> list[PartInfo]:
    """The palette."""
    from perse.tracking.part_picture import PALETTE

    return [PartInfo(name=part.name.lower(), color=PALETTE[part]) for part in Part]
