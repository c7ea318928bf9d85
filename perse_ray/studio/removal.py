"""Removal of a project and everything that was made of its photograph, as `perse forget` does it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from perse.data.workspace_lock import locked
from perse.errors import PerseError
from perse_ray.studio.builds import SETTLED
from perse_ray.studio.progress import Gallery
from perse_ray.studio.project import NotNow, Phase, Project, Projects

log = logging.getLogger(__name__)

KEPT = 20
"""Newest accounts of removals; a page tells those that it has not told."""


@dataclass(frozen=True)
class RemovedProject:
    """Result of a removal.

    Attributes:
        number: counts removals from 1, so that a page knows which of them it has told.
        id: of the project that is gone.
        files, mib: what lay in it.
        models: of MLflow, that went with it.
        left: files elsewhere that still hold something of the person.
        problems: what could not be removed.
    """

    number: int
    id: str
    files: int
    mib: float
    models: tuple[str, ...]
    left: tuple[str, ...]
    problems: tuple[str, ...]


class Remover:
    """Worker that removes projects, one after the other, beside whatever else happens."""

    def __init__(self, projects: Projects, gallery: Gallery) -> None:
        self._projects, self._gallery = projects, gallery
        self._thread = ThreadPoolExecutor(1, "remove")
        self.done: list[RemovedProject] = []
        for project in projects.all():  # one that a server did not live to finish
            if project.phase is Phase.LEAVING:
                self._thread.submit(self._remove, project.id)

    def remove(self, name: str) -> Project:
        """Begin to remove a project.

        Raises:
            NotNow: a build is queued or under way.
        """

        def leaving(project: Project) -> Project:
            if project.phase not in SETTLED:
                raise NotNow(f"the project is {project.phase.value}; wait, or cancel that first")
            return replace(project, phase=Phase.LEAVING, message="")

        project = self._projects.change(name, leaving)
        self._thread.submit(self._remove, name)
        return project

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    def _remove(self, name: str) -> None:
        from perse_ray.build.forget import forget

        workspace = self._projects.workspace(name)
        try:
            with locked(workspace):
                gone = forget([workspace])
            self._gallery.forget(name)
            number = self.done[-1].number + 1 if self.done else 1
            mib = round(gone.size / 2**20, 1)
            told = RemovedProject(number, name, gone.files, mib, gone.models, gone.left, gone.problems)
            self.done = [*self.done, told][-KEPT:]
        except Exception as error:
            log.exception("removing %s", name)
            problem = str(error) if isinstance(error, PerseError) else "it could not be removed; see the log"
            self._projects.change(name, lambda one: replace(one, phase=Phase.STOPPED, message=problem))
