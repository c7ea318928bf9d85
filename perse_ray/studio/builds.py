"""Queue of builds: one at a time, in the order in which they were asked for.

What is queued and what runs is written in the projects, so a server that is started again goes on watching, and takes
the next one when its turn comes.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

from perse.data.consent import FILE as CONSENT
from perse.errors import PerseError
from perse_ray.studio.processes import Builder
from perse_ray.studio.project import LOG, PARTS, PHOTOGRAPH, PROMPTS, NotNow, Phase, Project, Projects, prompts_csv

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
PATIENCE_S = 20.0
"""A build that was asked to end has so long to do it by itself."""

DONE = "report/metrics.json"
"""A build writes this last of all."""

SETTLED = (Phase.DRAFT, Phase.STOPPED, Phase.FAILED, Phase.FINISHED)


class Builds:
    """Queue that starts, watches and ends builds."""

    def __init__(self, projects: Projects, builder: Builder) -> None:
        self._projects, self._builder = projects, builder
        self._ending: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def queue(self, name: str) -> Project:
        """Add a project to the queue, to be built, or what is missing of it.

        Raises:
            NotNow: something is still to be said, or it is under way.
        """

        def queued(project: Project) -> Project:
            if project.phase not in SETTLED:
                raise NotNow(f"the project is {project.phase.value}; wait, or cancel that first")
            if problem := missing(self._projects, project):
                raise NotNow(problem)
            return replace(project, phase=Phase.QUEUED, queued=time.time(), message="")

        return self._projects.change(name, queued)

    def cancel(self, name: str) -> Project:
        """Take a build out of the queue, or end it; what is finished is kept.

        Raises:
            NotNow: it is neither queued nor under way.
        """

        def cancelled(project: Project) -> Project:
            if project.phase is Phase.QUEUED:
                return replace(project, phase=Phase.STOPPED, message="cancelled before it began")
            if project.phase is not Phase.BUILDING:
                raise NotNow("there is no build to cancel")
            if name not in self._ending:
                self._ending[name] = time.monotonic()
                self._builder.interrupt(project.pid)
            return replace(project, message="cancelling")

        return self._projects.change(name, cancelled)

    def place(self, name: str) -> int:
        """Number of builds before this one."""
        waiting = self._waiting()
        before = waiting.index(name) if name in waiting else 0
        return before + sum(one.phase is Phase.BUILDING for one in self._projects.all())

    def close(self) -> list[Project]:
        """Builds that go on, after watching has stopped."""
        self._stop.set()
        self._thread.join()
        return [one for one in self._projects.all() if one.phase is Phase.BUILDING]

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._look()
            except PerseError as error:
                log.warning("the queue of builds: %s", error)
            except Exception:
                log.exception("the queue of builds")

    def _look(self) -> None:
        running = [one for one in self._projects.all() if one.phase is Phase.BUILDING]
        for project in running:
            if not self._builder.lives(project.pid):
                self._end(project)
            elif time.monotonic() - self._ending.get(project.id, float("inf")) > PATIENCE_S:
                self._builder.kill(project.pid)
        waiting = self._waiting()
        if waiting and not any(self._builder.lives(one.pid) for one in running):
            self._start(waiting[0])

    def _waiting(self) -> list[str]:
        queued = [one for one in self._projects.all() if one.phase is Phase.QUEUED]
        return [one.id for one in sorted(queued, key=lambda one: one.queued)]

    def _start(self, name: str) -> None:
        def started(project: Project) -> Project:
            if project.phase is not Phase.QUEUED:
                return project  # cancelled a moment ago
            self._projects.keep(name, PROMPTS, prompts_csv(project.wishes))
            words = command(self._projects, project)
            pid = self._builder.start(words, self._projects.file(name, LOG))
            return replace(project, phase=Phase.BUILDING, started=time.time(), ended=0.0, pid=pid)

        self._projects.change(name, started)

    def _end(self, project: Project) -> None:
        """Find out how a build ended."""
        cancelled = self._ending.pop(project.id, None) is not None or project.message == "cancelling"
        done = self._projects.runs / project.id / DONE
        if done.is_file() and done.stat().st_mtime >= project.started:
            phase, message = Phase.FINISHED, ""
        elif cancelled:
            phase, message = Phase.STOPPED, "cancelled; what is finished is kept"
        else:
            phase, message = Phase.FAILED, reason(self._projects.file(project.id, LOG))
        self._projects.change(
            project.id, lambda one: replace(one, phase=phase, message=message, pid=0, ended=time.time())
        )


def missing(projects: Projects, project: Project) -> str:
    """Reason why a build cannot begin yet; empty if there is none."""
    if not project.has_crop:
        return project.found.error or "no face has been found in the photograph yet"
    if projects.consent(project.id) is None:
        return "the consent of the person is missing"
    if not project.wishes:
        return "choose one look at least"
    return ""


def command(projects: Projects, project: Project) -> list[str]:
    """Words of the command line for `perse build`."""
    words = {
        "--portrait": projects.file(project.id, PHOTOGRAPH),
        "--workspace": projects.runs / project.id,
        "--recipe": project.recipe,
        "--prompts": projects.file(project.id, PROMPTS),
        "--consent": projects.file(project.id, CONSENT),
    }
    parts = projects.file(project.id, PARTS)
    if parts.is_file():
        words["--parts"] = parts
    if project.face is not None:
        words["--face"] = str(project.face)
    return [str(word) for pair in words.items() for word in pair]


def reason(file: Path) -> str:
    """Reason why a build ended, from the last lines of its log."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return "the build ended without a word"
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if said:
        return said[-1]
    last = next((line for line in reversed(lines) if line.strip()), "nothing")
    return f"the build ended early (killed, or out of memory?); its last words: {last[:200]}"
