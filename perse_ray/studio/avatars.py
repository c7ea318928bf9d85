"""Avatars of a folder of workspaces, as they come and go: also those that are still in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from perse.errors import PerseError
from perse_ray.serving.library.sources import Place
from perse_ray.serving.library.training_source import FollowedWorkspace
from perse_ray.studio.project import Projects


class ProjectPlaces(Mapping[str, Place]):
    """Places by the ids of projects that have something to look at."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    def __getitem__(self, name: str) -> Place:
        if name not in self._projects.ids():
            raise KeyError(name)
        place = FollowedWorkspace(self._projects.workspace(name))
        try:
            place.version()
        except PerseError:
            raise KeyError(name) from None
        return place

    def __iter__(self) -> Iterator[str]:
        for name in self._projects.ids():
            with suppress(KeyError):
                self[name]
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)
