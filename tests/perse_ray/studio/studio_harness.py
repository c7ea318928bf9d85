"""What the studio's tests share: builds that do nothing by themselves, waiting, projects that are ready to be built."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from perse.attributes import Category
from perse_ray.studio.project import Phase
from perse_ray.studio.schema import ConsentFields, WishWords
from perse_ray.studio.studio import Studio


@dataclass
class HeldBuilder:
    """A `Builder` whose builds live until they are let go."""

    started: list[list[str]] = field(default_factory=list)
    logs: dict[int, Path] = field(default_factory=dict)
    alive: set[int] = field(default_factory=set)
    deaf: bool = False

    def start(self, words: Sequence[str], log: Path) -> int:
        self.started.append(list(words))
        build = 1000 + len(self.started)
        log.write_text("track: looking for the head\n")
        self.logs[build] = log
        self.alive.add(build)
        return build

    def lives(self, build: int) -> bool:
        return build in self.alive

    def interrupt(self, build: int) -> None:
        if not self.deaf:
            self.alive.discard(build)

    def kill(self, build: int) -> None:
        self.alive.discard(build)

    def say(self, build: int, *lines: str) -> None:
        with self.logs[build].open("a") as log:
            log.writelines(f"{line}\n" for line in lines)

    def finish(self, build: int) -> None:
        """As a build that has come to its end."""
        home = self.logs[build].parents[1]
        (home / "report").mkdir(exist_ok=True)
        (home / "report" / "metrics.json").write_text("{}")
        self.alive.discard(build)


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def ready(studio: Studio, name: str, photograph: bytes, *texts: str) -> str:
    """A project about which everything has been said, looked at with the real tracker."""
    key = studio.create(name, photograph).id
    until(lambda: studio.show(key).phase != Phase.LOOKING)
    studio.consent(key, ConsentFields(who="Eileen Collins", purpose="a test"))
    studio.wish(key, "tiny", [WishWords(category=Category.HAT, text=text) for text in texts or ("red beanie",)])
    return key


def copy_of(studio: Studio, key: str, name: str) -> str:
    """Another project like one that has been looked at, which takes seconds."""
    projects = studio.projects
    shutil.copytree(projects.runs / key, projects.runs / name)
    projects.change(name, lambda one: replace(one, id=name, name=name, phase=Phase.DRAFT))
    return name
