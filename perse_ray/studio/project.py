"""Projects: a workspace each, and beside its products what a person has said on the way to them.

::

    runs/ada/                 the workspace, as `perse build` makes and `perse forget` removes it
    runs/ada/studio/
        project.json          `Project`
        photograph.png        upright, without the metadata that came with it
        crop.png, found.png   what the tracker looked at, and the parts that it found
        parts.png             parts that were painted over
        prompts.csv           the wishes, for `perse build --prompts`
        consent.json          for `perse build --consent`
        build.log             what the newest build said

Nothing is kept anywhere else, so a page that is closed, a server that is stopped and a machine that loses power all
find the project as it was.
"""

from __future__ import annotations

import csv
import io
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from perse.attributes import Category
from perse.data.consent import FILE as CONSENT
from perse.data.consent import Consent, consent_of, load_consent
from perse.data.durable_files import write_file_atomically
from perse.data.images import encode_image
from perse.data.keys import identity_of
from perse.data.workspace import MARKER, Workspace
from perse.errors import InputError, PerseError, WorkspaceError
from perse.shapes import Picture
from perse_ray.serving.schema.requests import AVATAR_ID

FOLDER = "studio"
PHOTOGRAPH, PREVIEW, CROP, FOUND, PARTS = "photograph.png", "preview.webp", "crop.png", "found.png", "parts.png"
PROMPTS, LOG = "prompts.csv", "build.log"
PREVIEW_PX = 1024

MOST = 200
"""Projects of one folder."""


class Phase(StrEnum):
    """Phase in which a project is."""

    LOOKING = "looking"
    """The tracker is at work."""
    DRAFT = "draft"
    """Something is still to be said."""
    QUEUED = "queued"
    BUILDING = "building"
    STOPPED = "stopped"
    """Cancelled; what is finished is kept."""
    FAILED = "failed"
    FINISHED = "finished"
    LEAVING = "leaving"
    """It is being removed."""


@dataclass(frozen=True)
class Face:
    """Face of the photograph; its box in shares of the picture's size."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Found:
    """Findings of the tracker in the photograph.

    Attributes:
        faces: that somebody may mean, from the left.
        error: why it cannot be used; empty if it can.
        size_px: side of the crop; 0 without one.
        fit_rms_px, face_width_px: see `perse.data.TrackedPortrait`.
        parts: area of each part that is there, in squared face widths.
    """

    faces: tuple[Face, ...] = ()
    error: str = ""
    size_px: int = 0
    fit_rms_px: float = 0.0
    face_width_px: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Wish:
    """Edit that is wanted: a combination of the vocabulary."""

    category: Category
    phrase: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Project:
    """Record of a project, apart from its files."""

    id: str
    """The name of the workspace's folder, and the avatar's id."""
    name: str
    """What people call it."""
    created: float = 0.0
    """Seconds since the epoch."""
    phase: Phase = Phase.DRAFT
    face: int | None = None
    """Which one is meant, from 1 at the left."""
    found: Found = Found()
    recipe: str = "laptop"
    wishes: tuple[Wish, ...] = ()
    queued: float = 0.0
    """When its build was asked for; the oldest is next."""
    started: float = 0.0
    """When its build began."""
    ended: float = 0.0
    pid: int = 0
    """Names its build, for the builder that started it: on one machine, the process that builds."""
    message: str = ""
    """Why a build stands or failed, for people."""

    @property
    def has_crop(self) -> bool:
        return self.found.size_px > 0


class Projects:
    """The projects of a folder of workspaces. Its methods may be called from several threads."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs.absolute()
        self._lock = threading.RLock()

    def ids(self) -> list[str]:
        """Ids of the folder's workspaces that can be an avatar's."""
        if not self.runs.is_dir():
            return []
        found = (path.name for path in self.runs.iterdir() if (path / MARKER).is_file())
        return sorted(name for name in found if AVATAR_ID.fullmatch(name))

    def get(self, name: str) -> Project:
        """Project of an id.

        Raises:
            NoSuchProject: there is none.
        """
        if not AVATAR_ID.fullmatch(name) or not (self.runs / name / MARKER).is_file():
            raise NoSuchProject("there is no such project")
        try:
            return _project_of(json.loads(self.file(name, "project.json").read_bytes()))
        except FileNotFoundError:
            return self._built_elsewhere(name)
        except (OSError, ValueError, KeyError, TypeError):
            return replace(self._built_elsewhere(name), message="what the studio knew of it cannot be read any more")

    def all(self) -> list[Project]:
        """Projects, the newest first."""
        return sorted(map(self.get, self.ids()), key=lambda one: -one.created)

    def create(self, name: str, photograph: Picture) -> Project:
        """Project of a photograph [h, w, 3], upright.

        Raises:
            InputError: there are too many.
        """
        with self._lock:
            if len(self.ids()) >= MOST:
                raise InputError(f"there are {MOST} projects in {self.runs}; remove one first")
            key = self._free(name)
            workspace = Workspace.open(self.runs / key)
            workspace.claim(identity_of(photograph))
            workspace.write(f"{FOLDER}/{PHOTOGRAPH}", encode_image(photograph, fast=True))
            project = Project(id=key, name=name, created=time.time(), phase=Phase.LOOKING)
            self._write(project)
            return project

    def change(self, name: str, change: Callable[[Project], Project]) -> Project:
        """Project after a change, which no other change interrupts.

        Raises:
            NoSuchProject: there is none.
        """
        with self._lock:
            project = change(self.get(name))
            self._write(project)
            return project

    def workspace(self, name: str) -> Workspace:
        return Workspace(str(self.runs / name))

    def file(self, name: str, file: str) -> Path:
        """Path of a file of the project."""
        return self.runs / name / FOLDER / file

    def consent(self, name: str) -> Consent | None:
        """Consent that was given here, or to the build."""
        try:
            return consent_of(self.file(name, CONSENT).read_bytes())
        except (OSError, InputError):
            try:
                return load_consent(self.workspace(name))
            except PerseError:
                return None

    def keep(self, name: str, file: str, content: bytes) -> None:
        """Write a file of the project.

        Raises:
            WorkspaceError: the disk is full, or the like.
        """
        self.workspace(name).write(f"{FOLDER}/{file}", content)

    def remove(self, name: str, file: str) -> None:
        self.file(name, file).unlink(missing_ok=True)

    def _write(self, project: Project) -> None:
        content = json.dumps(asdict(project), indent=2, sort_keys=True).encode()
        try:
            write_file_atomically(self.file(project.id, "project.json"), content)
        except FileNotFoundError:
            (self.runs / project.id / FOLDER).mkdir(exist_ok=True)
            write_file_atomically(self.file(project.id, "project.json"), content)
        except OSError as error:
            raise WorkspaceError(f"{project.id} cannot be written ({error.strerror})") from None

    def _built_elsewhere(self, name: str) -> Project:
        """A workspace that `perse build` made: there is nothing to fill in."""
        folder = self.runs / name
        finished = (folder / "avatar" / "avatar.json").is_file()
        phase = Phase.FINISHED if finished else Phase.STOPPED
        message = "" if finished else "perse build made this; go on with it there"
        found = Found(error="perse build made this; to change it here, begin anew with its photograph")
        created = (folder / MARKER).stat().st_mtime
        return Project(id=name, name=name, created=created, phase=phase, found=found, message=message)

    def _free(self, name: str) -> str:
        """An id that nobody has yet, made of the letters of a name."""
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "avatar"
        number, key = 1, plain
        while (self.runs / key).exists():
            number += 1
            key = f"{plain}-{number}"
        return key


class NoSuchProject(InputError):
    """Error: the id is nobody's."""


class NotNow(InputError):
    """Error: the project is in a state in which this cannot be done."""


def prompts_csv(wishes: tuple[Wish, ...]) -> bytes:
    """Table of wishes in the form that `perse build --prompts` reads."""
    slots = sorted({slot for wish in wishes for slot, _ in wish.attributes})
    text = io.StringIO()
    table = csv.DictWriter(text, ["category", *slots], restval="")
    table.writeheader()
    for wish in wishes:
        table.writerow({"category": wish.category.value, **dict(wish.attributes)})
    return text.getvalue().encode()


def _project_of(value: dict[str, Any]) -> Project:
    known = {one.name for one in fields(Project)}
    found = value["found"]
    return Project(
        **{
            **{name: part for name, part in value.items() if name in known},
            "phase": Phase(value["phase"]),
            "found": Found(**{**found, "faces": tuple(Face(**face) for face in found["faces"])}),
            "wishes": tuple(
                Wish(Category(one["category"]), one["phrase"], tuple((slot, word) for slot, word in one["attributes"]))
                for one in value["wishes"]
            ),
        }
    )
