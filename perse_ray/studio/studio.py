"""Studio as one value: what the routes ask."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path

from perse.attributes import CATEGORIES, Category
from perse.data.consent import FILE as CONSENT
from perse.data.consent import Consent
from perse.data.images import read_portrait_bytes
from perse.errors import InputError, PerseError, PromptError
from perse.synthesis.prompts import complete_wish, phrase_of, prompt_stream, understand
from perse_ray.serving.schema.requests import MAX_BODY_BYTES
from perse_ray.studio.avatars import ProjectPlaces
from perse_ray.studio.builds import SETTLED, Builds, missing
from perse_ray.studio.looking import Looker
from perse_ray.studio.processes import Builder
from perse_ray.studio.progress import BuildProgress, Gallery, expected_s, progress_of
from perse_ray.studio.project import (
    CROP,
    FOUND,
    PARTS,
    PREVIEW,
    NotNow,
    Phase,
    Project,
    Projects,
    Wish,
)
from perse_ray.studio.removal import RemovedProject, Remover
from perse_ray.studio.schema import (
    MAX_WISHES,
    RECIPES,
    CategoryInfo,
    ConsentAnswer,
    ConsentFields,
    EditInfo,
    FaceInfo,
    FoundInfo,
    ProgressInfo,
    ProjectInfo,
    ProjectLine,
    ProjectList,
    RemovedInfo,
    StageInfo,
    StudioInfo,
    UnderstoodInfo,
    WishInfo,
    WishWords,
    part_infos,
)

log = logging.getLogger(__name__)

COMPLETIONS, SUGGESTIONS, SHOWN_LEFT = 8, 4, 20
REPORT = "report/report.html"
PICTURES = {"photograph": PREVIEW, "crop": CROP, "found": FOUND, "parts": PARTS}
"""Pictures of a project by the names under which a page asks for them."""


class Studio:
    """Projects of a folder, and those who work on them. Its methods may be called from several threads."""

    def __init__(self, runs: Path, builder: Builder) -> None:
        self.projects = Projects(runs)
        self.places = ProjectPlaces(self.projects)
        self._gallery = Gallery(self.projects)
        self._looker = Looker(self.projects)
        self._builds = Builds(self.projects, builder)
        self._remover = Remover(self.projects, self._gallery)

    def close(self) -> list[Project]:
        """Builds that go on by themselves, after the studio has stopped."""
        self._looker.close()
        self._remover.close()
        return self._builds.close()

    # What there is

    def about(self) -> StudioInfo:
        categories = [CategoryInfo(name=category, suggestions=suggestions(category)) for category in CATEGORIES]
        return StudioInfo(
            recipes=list(RECIPES), categories=categories, parts=part_infos(), max_wishes=MAX_WISHES,
            max_photograph_bytes=MAX_BODY_BYTES,
        )  # fmt: skip

    def overview(self) -> ProjectList:
        lines = [
            ProjectLine(
                id=one.id, name=one.name, created=one.created, phase=one.phase.value, avatar=one.id in self.places
            )
            for one in self.projects.all()
        ]
        removed = [_removed_info(one) for one in self._remover.done]
        return ProjectList(projects=lines, removed=removed)

    def show(self, name: str) -> ProjectInfo:
        """State of a project, whole."""
        project = self.projects.get(name)
        consent = self.projects.consent(name)
        progress = progress_of(self.projects, project)
        return ProjectInfo(
            id=name,
            name=project.name,
            created=project.created,
            phase=project.phase.value,
            face=project.face,
            found=_found_info(project),
            pictures=self._pictures(name),
            consent=None if consent is None else ConsentAnswer(**asdict(consent)),
            recipe=project.recipe,
            wishes=[WishInfo(category=wish.category, phrase=wish.phrase) for wish in project.wishes],
            missing=missing(self.projects, project),
            estimate_s=round(sum(expected_s(project.recipe, project.wishes).values())),
            before=self._builds.place(name) if project.phase is Phase.QUEUED else 0,
            progress=None if progress is None else _progress_info(progress),
            edits=self._edits(project),
            avatar=name in self.places,
            report=self._has_report(project),
            message=project.message,
        )

    def picture(self, name: str, which: str) -> tuple[bytes, str]:
        """Picture of a project and its media type.

        Raises:
            NoSuchProject, InputError: there is none.
        """
        self.projects.get(name)
        file = self.projects.file(name, PICTURES[which])
        try:
            return file.read_bytes(), f"image/{file.suffix[1:]}"
        except OSError:
            raise NotNow("there is no such picture yet") from None

    def edit_picture(self, name: str, key: str) -> bytes:
        """Picture of an edit, small."""
        self.projects.get(name)
        try:
            return self._gallery.picture(name, key)
        except PerseError as error:
            raise NotNow(str(error)) from None

    def report(self, name: str) -> bytes:
        """Page of the report."""
        self.projects.get(name)
        try:
            return self.projects.workspace(name).read(REPORT)
        except PerseError:
            raise NotNow("there is no report yet; a build draws it at its end") from None

    # What is said

    def create(self, name: str, data: bytes) -> ProjectInfo:
        """State of a new project of a photograph.

        Raises:
            PortraitError: it is none that can be read.
        """
        photograph = read_portrait_bytes(data, name="the photograph")
        project = self.projects.create(name, photograph)
        self._looker.look(project.id)
        return self.show(project.id)

    def choose_face(self, name: str, face: int) -> ProjectInfo:
        """Look again, at another face.

        Raises:
            InputError: there is no such face.
        """

        def chosen(project: Project) -> Project:
            _open(project)
            if face > max(len(project.found.faces), 1):
                raise InputError(f"there is no face {face}: the photograph shows {len(project.found.faces)}")
            return replace(project, face=face, phase=Phase.LOOKING)

        self.projects.change(name, chosen)
        self._looker.look(name)
        return self.show(name)

    def paint(self, name: str, data: bytes) -> ProjectInfo:
        """Correct the parts with a painted PNG; nothing painted takes earlier corrections back.

        Raises:
            InputError: it cannot be understood.
        """
        from perse.tracking.part_picture import parts_of_bytes, read_parts

        def painted(project: Project) -> Project:
            _open(project)
            if not project.has_crop:
                raise NotNow("there are no parts to correct yet")
            picture = parts_of_bytes(data)
            labels = read_parts(picture, (project.found.size_px, project.found.size_px))
            if (labels >= 0).any():
                self.projects.keep(name, PARTS, data)
            else:
                self.projects.remove(name, PARTS)
            return project

        self.projects.change(name, painted)
        return self.show(name)

    def consent(self, name: str, said: ConsentFields) -> ProjectInfo:
        """Keep who consents to what.

        Raises:
            InputError: a day that is none, or that has passed.
        """
        today = datetime.now(UTC).date()
        consent = Consent(said.who.strip(), said.purpose.strip(), today.isoformat(), said.expires)

        def agreed(project: Project) -> Project:
            _open(project)
            self.projects.workspace(name).write_json(f"studio/{CONSENT}", asdict(consent))
            return project

        self.projects.change(name, agreed)
        return self.show(name)

    def wish(self, name: str, recipe: str, words: list[WishWords]) -> ProjectInfo:
        """Keep what is wanted.

        Raises:
            PromptError: a wish that the vocabulary does not have at all.
        """
        wishes = tuple(dict.fromkeys(map(_wish, words)))
        self.projects.change(name, lambda one: replace(_open(one), recipe=recipe, wishes=wishes))
        return self.show(name)

    def build(self, name: str) -> ProjectInfo:
        self._builds.queue(name)
        return self.show(name)

    def cancel(self, name: str) -> ProjectInfo:
        self._builds.cancel(name)
        return self.show(name)

    def remove(self, name: str) -> ProjectInfo:
        self._remover.remove(name)
        return self.show(name)

    def _pictures(self, name: str) -> dict[str, str]:
        """Names of pictures that are there, each with what changes when it does."""
        found = {}
        for which, file in PICTURES.items():
            path = self.projects.file(name, file)
            if path.is_file():
                found[which] = sha256(str(path.stat().st_mtime_ns).encode()).hexdigest()[:12]
        return found

    def _edits(self, project: Project) -> list[EditInfo]:
        return [EditInfo(**{**asdict(one), "reasons": list(one.reasons)}) for one in self._gallery.edits(project)]

    def _has_report(self, project: Project) -> bool:
        return project.phase is Phase.FINISHED and self.projects.workspace(project.id).has(REPORT)


def suggestions(category: Category) -> list[str]:
    """Looks that differ as much as the vocabulary allows."""
    prompts = islice(prompt_stream(category, 0), SUGGESTIONS)
    return [phrase_of(category, dict(prompt.attributes)) for prompt in prompts]


def understood(said: WishWords) -> UnderstoodInfo:
    """Meaning of a wish, and what it may become."""
    found = understand(said.category, said.text)
    completions = complete_wish(said.category, said.text, COMPLETIONS)
    return UnderstoodInfo(
        phrase=found.phrase, unknown=list(found.unknown), unmet=list(found.unmet), completions=completions
    )


def _wish(said: WishWords) -> Wish:
    found = understand(said.category, said.text)
    if not found.phrase:
        raise PromptError(
            f"{said.category.value}: {said.text[:60]!r} cannot be expressed; there is, for example, "
            + ", ".join(suggestions(said.category))
        )
    return Wish(said.category, found.phrase, found.attributes)


def _open(project: Project) -> Project:
    """The project, if something may be changed.

    Raises:
        NotNow: it is under way.
    """
    if project.phase not in SETTLED:
        raise NotNow(f"the project is {project.phase.value}; wait, or cancel that first")
    return project


def _removed_info(one: RemovedProject) -> RemovedInfo:
    return RemovedInfo(
        number=one.number, id=one.id, files=one.files, mib=one.mib, models=list(one.models),
        left=list(one.left[:SHOWN_LEFT]), problems=list(one.problems),
    )  # fmt: skip


def _found_info(project: Project) -> FoundInfo:
    found = project.found
    return FoundInfo(**{**asdict(found), "faces": [FaceInfo(**asdict(face)) for face in found.faces]})


def _progress_info(progress: BuildProgress) -> ProgressInfo:
    stages = [StageInfo(**asdict(stage)) for stage in progress.stages]
    return ProgressInfo(stages=stages, share=progress.share, to_go_s=progress.to_go_s, counting=progress.counting)
