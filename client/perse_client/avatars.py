"""Descriptions of served avatars, and how they are read from the service's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Subject:
    """Edit that an avatar has learned."""

    id: str
    category: str
    text: str


@dataclass(frozen=True)
class EditSpace:
    """Space of looks of an avatar.

    Attributes:
        categories: the subjects of each.
        thumbnails: addresses of small pictures by subject, on the service.
        neutral: address of a picture of the person as photographed.
    """

    categories: Mapping[str, tuple[Subject, ...]]
    thumbnails: Mapping[str, str]
    neutral: str


@dataclass(frozen=True)
class AvatarDescription:
    """Description of an avatar: what can be asked of it."""

    id: str
    identity: str
    subjects: tuple[Subject, ...]
    expressions: tuple[str, ...]
    joints: tuple[str, ...]
    gaussians: int
    version: str = ""

    def of(self, category: str) -> list[Subject]:
        """Subjects of one category."""
        return [subject for subject in self.subjects if subject.category == category]


def read_avatar(value: Mapping[str, Any]) -> AvatarDescription:
    """Description of an avatar in JSON."""
    subjects = tuple(Subject(str(s["id"]), str(s["category"]), str(s["text"])) for s in value["subjects"])
    return AvatarDescription(
        id=str(value["id"]),
        identity=str(value["identity"]),
        subjects=subjects,
        expressions=tuple(value["expressions"]),
        joints=tuple(value["joints"]),
        gaussians=int(value["gaussians"]),
        version=str(value.get("version", "")),
    )


def read_space(space: Mapping[str, Any]) -> EditSpace:
    """Space of edits in JSON."""
    rows = [row for members in space["categories"].values() for row in members]
    subjects = {row["id"]: Subject(row["id"], row["category"], row["text"]) for row in rows}
    categories = {name: tuple(subjects[row["id"]] for row in members) for name, members in space["categories"].items()}
    return EditSpace(categories, {row["id"]: row["thumbnail"] for row in rows}, space["neutral"])
