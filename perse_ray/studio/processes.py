"""Processes of builds on this machine: each outlives the page, and the server that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

PERSE_BUILD = ("-m", "perse_ray.commands.main", "build")
"""What Python runs, before the words of a build."""


class Builder(Protocol):
    """Runner of builds somewhere."""

    def start(self, words: Sequence[str], log: Path) -> int:
        """Name of a build that is started with words of a command line of `perse build`; what it says goes to the
        log."""
        ...

    def lives(self, build: int) -> bool:
        """Whether a build is under way."""
        ...

    def interrupt(self, build: int) -> None:
        """Ask a build to end; what is finished is kept."""
        ...

    def kill(self, build: int) -> None:
        """End a build, with all that it started."""
        ...


class LocalBuilder:
    """Builder on this machine: each build in a session of its own, so that Ctrl-C ends the studio and leaves them
    alone."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, words: Sequence[str], log: Path) -> int:
        with log.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, *PERSE_BUILD, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self._children[child.pid] = child
        return child.pid

    def lives(self, build: int) -> bool:
        child = self._children.get(build)
        if child is not None:
            return child.poll() is None
        return _is_build(build)

    def interrupt(self, build: int) -> None:
        if self.lives(build):
            os.kill(build, signal.SIGINT)

    def kill(self, build: int) -> None:
        if not self.lives(build):
            return
        if hasattr(os, "killpg"):
            os.killpg(build, signal.SIGKILL)
        else:
            os.kill(build, signal.SIGTERM)


def _is_build(pid: int) -> bool:
    """Whether a process that another server started is a build still; numbers are given again."""
    if pid <= 0:
        return False
    try:
        return b"perse_ray.commands.main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    except OSError:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
