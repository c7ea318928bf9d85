"""Targets computed ahead of a training loop by a pool of actors.

The schedule is a pure function of the step, so the future is known: a window of requests is always under way. Results
are kept under their content key, so a resumed or repeated run asks for nothing twice. An actor that dies costs its
requests another try and the loop, at most, some waiting.

Everything that talks to Ray happens in one thread; the loop only waits on a condition.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from perse.data.keys import content_key
from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays
from perse.data.workspace import Workspace
from perse.errors import StageError, WorkspaceError
from perse_ray.rows.fault_handling import one_line
from perse_ray.rows.on_ray_data import limit_threads, readable
from perse_ray.rows.stage import Resources

log = logging.getLogger(__name__)

Request = TypeVar("Request")
Arrays = dict[str, NDArray[Any]]

MAX_TRIES = 5
"""Actors that one request may take down before it is given up."""

MAX_FAILURES_IN_A_ROW = 3
"""Requests that fail one after the other before the run is ended: by then it is not the request."""

POLL_S = 0.2

RESTART_LIMIT_S, RESTART_POLL_S = 120.0, 5.0
"""How long an actor may take to come back: a new process imports torch, on a busy machine for many seconds."""


class TargetWork(Protocol[Request]):  # type: ignore[misc]
    """Makes the arrays of a request. Deterministic."""

    def __call__(self, request: Request) -> Mapping[str, NDArray[Any]]: ...


class TargetWorkConfig(Protocol[Request]):  # type: ignore[misc]
    """A small, picklable description of the work."""

    @property
    def ingredients(self) -> object:
        """What of it decides how targets look; a part of their content keys."""
        ...

    def build(self) -> TargetWork[Request]: ...


@dataclass(frozen=True, kw_only=True)
class AheadConfig:
    """How far and with how many."""

    actors: int = 1
    """Actors of one training worker."""

    window: int = 16
    """Steps whose targets are under way or ready. Their pictures stay in memory."""

    resources: Resources = field(default_factory=Resources)
    """What one actor claims."""


@dataclass
class AheadStats:
    """What the pool did.

    Attributes:
        waited_s: seconds that the loop stood still for a target.
        made, found: targets that were computed, and that lay in the cache.
        retries: requests that were given to another actor because theirs died.
        given_up: requests without a target.
    """

    waited_s: float = 0.0
    made: int = 0
    found: int = 0
    retries: int = 0
    given_up: int = 0


class Ahead(Generic[Request]):
    """Targets by step.

    Args:
        work: how a target is made.
        schedule: the request of a step, or None for a step without one. Pure.
        workspace: the cache is its ``morphs/``.
        start, stop: steps that will be asked for, in order.
        config: pool and window.
    """

    def __init__(
        self,
        work: TargetWorkConfig[Request],
        schedule: Callable[[int], Request | None],
        workspace: Workspace,
        *,
        start: int,
        stop: int,
        config: AheadConfig,
    ) -> None:
        self.stats = AheadStats()
        self._work, self._schedule, self._workspace = work, schedule, workspace
        self._next, self._stop, self._window = start, stop, config.window
        self._asked = start
        self._ready: dict[int, Arrays | None] = {}
        self._problem: StageError | None = None
        self._failures = 0
        self._closed = False
        self._changed = threading.Condition()
        actor: Any = ray.remote(
            num_cpus=config.resources.num_cpus,
            num_gpus=config.resources.num_gpus,
            memory=config.resources.memory_gib * 2**30,
            max_restarts=-1,
            max_task_retries=0,
        )(_TargetActor)
        self._actors: list[Any] = [
            actor.remote(work, workspace, config.resources.threads) for _ in range(config.actors)
        ]
        self._load = [0] * config.actors
        self._flying: dict[Any, _Flight] = {}
        self._thread = threading.Thread(target=self._work_ahead, name="targets", daemon=True)
        self._thread.start()

    def get(self, step: int) -> Arrays | None:
        """The target of a step. None where the schedule has none, or where it could not be made (counted, rare).

        Raises:
            StageError: several requests in a row failed; the message is the last one's.
        """
        begin = time.perf_counter()
        with self._changed:
            self._asked = step
            self._changed.notify_all()
            self._changed.wait_for(lambda: step in self._ready or self._problem is not None)
            self.stats.waited_s += time.perf_counter() - begin
            if step not in self._ready:
                assert self._problem is not None
                raise self._problem
            return self._ready.pop(step)

    def close(self) -> None:
        """End the thread and the actors."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        for actor in self._actors:
            ray.kill(actor)

    # The thread's side

    def _work_ahead(self) -> None:
        try:
            while not self._done():
                self._fill()
                self._collect()
        except Exception as error:  # the loop must not wait for a thread that is gone
            self._fail(StageError(f"targets cannot be made: {readable(error)}"))

    def _done(self) -> bool:
        with self._changed:
            return self._closed or self._problem is not None

    def _fill(self) -> None:
        """Ask for whatever the window still holds."""
        while self._next < min(self._stop, self._asked + self._window) and not self._done():
            step, self._next = self._next, self._next + 1
            request = self._schedule(step)
            key = None if request is None else content_key("target", self._work.ingredients, request)
            if request is None or key is None:
                self._deliver(step, None)
            elif (cached := self._cached(key)) is not None:
                self.stats.found += 1
                self._deliver(step, cached)
            else:
                self._send(_Flight(step, key, request))

    def _send(self, flight: _Flight) -> None:
        flight.actor = self._load.index(min(self._load))
        self._load[flight.actor] += 1
        reference = self._actors[flight.actor].make.remote(flight.key, flight.request)
        self._flying[reference] = flight

    def _collect(self) -> None:
        """Take what has arrived; wait a moment if nothing has."""
        if not self._flying:
            with self._changed:
                self._changed.wait(POLL_S)
            return
        arrived, _ = ray.wait(list(self._flying), num_returns=1, timeout=POLL_S)
        for reference in arrived:
            flight = self._flying.pop(reference)
            self._load[flight.actor] -= 1
            try:
                arrays = ray.get(reference)
            except RayActorError as error:
                self._try_again(flight, error)
            except (RayTaskError, RayError) as error:
                self._give_up(flight, readable(error))
            else:
                self.stats.made += 1
                self._failures = 0
                self._deliver(flight.step, arrays)

    def _try_again(self, flight: _Flight, error: RayError) -> None:
        flight.tries += 1
        if flight.tries >= MAX_TRIES:
            self._give_up(flight, f"it ended {MAX_TRIES} actors")
            return
        self.stats.retries += 1
        log.info("a target actor died; step %d is asked for again (%s)", flight.step, readable(error, 100))
        # Until it has restarted it refuses everything; those refusals say nothing about this request.
        self._await_restart(flight.actor)
        if not self._done():
            self._send(flight)

    def _await_restart(self, index: int) -> None:
        """Wait until an actor answers again.

        Raises:
            StageError: it does not within `RESTART_LIMIT_S`.
        """
        deadline = time.monotonic() + RESTART_LIMIT_S
        while not self._done():
            try:
                ray.get(self._actors[index].ping.remote(), timeout=RESTART_POLL_S)
                return
            except (RayActorError, GetTimeoutError) as error:
                if time.monotonic() > deadline:
                    raise StageError(
                        f"a target actor does not restart within {RESTART_LIMIT_S:.0f} s: {readable(error, 100)}"
                    ) from error
                time.sleep(POLL_S)

    def _give_up(self, flight: _Flight, reason: str) -> None:
        self.stats.given_up += 1
        self._failures += 1
        log.warning("no target for step %d: %s", flight.step, reason)
        if self._failures >= MAX_FAILURES_IN_A_ROW:
            self._fail(StageError(f"{self._failures} targets in a row could not be made: {reason}"))
        else:
            self._deliver(flight.step, None)

    def _deliver(self, step: int, arrays: Arrays | None) -> None:
        with self._changed:
            self._ready[step] = arrays
            self._changed.notify_all()

    def _fail(self, problem: StageError) -> None:
        with self._changed:
            self._problem = problem
            self._changed.notify_all()

    def _cached(self, key: str) -> Arrays | None:
        return read_cached(self._workspace, key)


@dataclass
class _Flight:
    """A request on its way."""

    step: int
    key: str
    request: Any
    tries: int = 0
    actor: int = 0


class _TargetActor:
    """Makes targets and keeps them."""

    def __init__(self, work: TargetWorkConfig[Any], workspace: Workspace, threads: int) -> None:
        limit_threads(threads)
        self.work = work.build()
        self.workspace = workspace

    def ping(self) -> None:
        """Answers as soon as the actor is there."""

    def make(self, key: str, request: Any) -> Arrays:
        return make_cached(self.work, self.workspace, key, request)


def make_cached(work: TargetWork[Any], workspace: Workspace, key: str, request: Any) -> Arrays:
    """A target from the cache, or made and put there."""
    cached = read_cached(workspace, key)
    if cached is not None:
        return cached
    arrays = {name: np.ascontiguousarray(value) for name, value in work(request).items()}
    workspace.write(f"morphs/{key}.npz", arrays_to_npz(arrays))
    return arrays


def read_cached(workspace: Workspace, key: str) -> Arrays | None:
    """A target that lies in the cache; a damaged file counts as absent and is made again."""
    if not workspace.has(f"morphs/{key}.npz"):
        return None
    try:
        return npz_to_arrays(workspace.read(f"morphs/{key}.npz"))
    except (ValueError, OSError, KeyError, WorkspaceError) as error:
        log.warning("cached target %s is damaged and will be made again: %s", key, one_line(error))
        return None
