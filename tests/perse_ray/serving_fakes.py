"""Work that tests send to renderers; in a module of its own, as workers import it by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar


@dataclass(frozen=True)
class ProcessId:
    """Which process draws."""

    def __call__(self, avatar: LoadedAvatar) -> int:
        return os.getpid()


@dataclass(frozen=True)
class Endless:
    """Takes longer than anybody waits."""

    seconds: float

    def __call__(self, avatar: LoadedAvatar) -> None:
        import time

        time.sleep(self.seconds)
