"""Builds on a Ray cluster: each has an actor that watches over its process, wherever the cluster has room.

The actor is detached, so a build outlives the page and the studio's replica, as builds of one machine outlive their
server. It keeps the log in the project's folder, which all nodes share.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from perse_ray.studio.processes import PERSE_BUILD

NAMESPACE = "perse-studio"
ANSWER_S = 5.0
"""How long a watcher may take to answer before it is ended without."""


class RayBuilder:
    """A `Builder` on the cluster that this process has joined.

    Args:
        num_cpus: that a build's own process claims; what it starts claims its own.
        program: what Python runs, before the words of a build.
    """

    def __init__(self, num_cpus: float = 1.0, program: Sequence[str] = PERSE_BUILD) -> None:
        self._num_cpus, self._program = num_cpus, tuple(program)

    def start(self, words: Sequence[str], log: Path) -> int:
        build = secrets.randbits(52)
        watcher: Any = (
            ray.remote(BuildWatcher)
            .options(
                name=_name(build), namespace=NAMESPACE, lifetime="detached", num_cpus=self._num_cpus, max_concurrency=4
            )
            .remote()
        )
        watcher.run.remote([*self._program, *words], str(log), os.pathsep.join(filter(None, sys.path)))
        return build

    def lives(self, build: int) -> bool:
        return _watcher(build) is not None

    def interrupt(self, build: int) -> None:
        if watcher := _watcher(build):
            watcher.end.remote(signal.SIGINT)

    def kill(self, build: int) -> None:
        watcher = _watcher(build)
        if watcher is None:
            return
        with suppress(GetTimeoutError, RayError):  # one that waits for room, or whose node is gone, does not answer
            ray.get(watcher.end.remote(signal.SIGKILL), timeout=ANSWER_S)
        ray.kill(watcher)


class BuildWatcher:
    """Actor that runs one build and ends with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def run(self, command: Sequence[str], log: str, path: str) -> None:
        """Run the build to its end, as a driver of this cluster.

        Args:
            command: what Python runs.
            log: file for what it says.
            path: where Python finds the studio's own modules.
        """
        environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address, "PYTHONPATH": path}
        environment.pop("OMP_NUM_THREADS", None)  # Ray's, for this actor; the build gives its workers their own
        with Path(log).open("wb") as out, self._lock, _heard(signal.SIGINT):
            if not self._ended:
                self._process = subprocess.Popen(
                    [sys.executable, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                    env=environment, start_new_session=True,
                )  # fmt: skip
        if self._process is not None:
            self._process.wait()
        ray.actor.exit_actor()

    def end(self, how: int) -> None:
        """Interrupt the build, or kill it with all that it started; one that has not begun yet does not begin."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            if how == signal.SIGINT:
                process.send_signal(how)
            else:
                os.killpg(process.pid, how)


@contextmanager
def _heard(number: int) -> Iterator[None]:
    """For the length of a block, processes that are started hear a signal: Ray's threads block SIGINT, and a process
    inherits what the thread that starts it blocks."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _name(build: int) -> str:
    return f"build-{build}"


def _watcher(build: int) -> Any:
    """The actor of a build; None if it has ended."""
    try:
        return ray.get_actor(_name(build), NAMESPACE)
    except ValueError:
        return None
