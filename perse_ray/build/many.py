"""Builds of many people on one Ray.

::

    track everybody ─► edits and clips of all, by the same workers ─► the rest of each build, several at a time

Each person has a workspace of their own, and what ends in it is what a build of its own would have made: a person whose
build fails, or takes its process down, leaves the others alone, and the same command goes on where it was. Editors,
screens and animators are loaded once in a worker and serve everybody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import ray

from perse import chatter
from perse.data.consent import read_consent
from perse.data.keys import identity_of
from perse.data.photograph import read_photograph
from perse.data.workspace import Workspace
from perse.data.workspace_lock import locked
from perse.errors import PerseError
from perse.recipes import Recipe
from perse_ray.build.build import build, settle_consent
from perse_ray.build.components import synthesis_config_of
from perse_ray.build.request import BuildRequest
from perse_ray.build.run import BuildRun
from perse_ray.build.stages import Track
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.rows import on_ray_data
from perse_ray.rows.attempts import new_ledger
from perse_ray.rows.fault_handling import one_line
from perse_ray.runtime.session import LocalRay, is_private, ray_session
from perse_ray.synthesis.prompt_supply import StreamSupply
from perse_ray.synthesis.synthesize import synthesize_together

log = logging.getLogger(__name__)

COMMON = "together"
"""Workspace, beside the people's, for the attempts of rows of all of them."""


@dataclass(frozen=True)
class Person:
    """Person whose avatar is built.

    Attributes:
        name: of the workspace's folder.
        portrait: where the photograph lies.
        workspace: where everything goes.
        consent: file of the person's consent; empty if there is none.
    """

    name: str
    portrait: str
    workspace: str
    consent: str = ""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a person's build.

    Attributes:
        person: whose.
        error: why it failed, in one line; empty if it did not.
        metrics: the content of metrics.json; empty if it failed.
        seconds: wall time of what was done for this person alone.
    """

    person: Person
    error: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ManyRequest:
    """Request for builds of many people."""

    recipe: Recipe
    """The same for all."""

    people: tuple[Person, ...]
    """Whose avatars."""

    home: str
    """Folder or address of all workspaces."""

    max_parallel: int = 2
    """Builds at the same time."""

    local: LocalRay = field(default_factory=LocalRay)
    """The private Ray, where no cluster is joined."""

    tell: Callable[[str], None] = print
    """Where a line of progress goes."""


def build_many(request: ManyRequest) -> list[Outcome]:
    """Outcomes of building all avatars, or what is missing of them. Whatever happens to one is in its outcome."""
    with ray_session(request.local), _Slots(request.max_parallel, ray.get_runtime_context().gcs_address) as slots:
        tracked = slots.run(_track, [(request.recipe, person) for person in request.people], request.tell)
        well = [one.person for one in tracked if not one.error]
        _together(request, well)
        built = slots.run(_build, [(request.recipe, person) for person in well], request.tell)
    found = {one.person: one for one in (*tracked, *built)}
    return [found[person] for person in request.people]


def _together(request: ManyRequest, people: Sequence[Person]) -> None:
    """Edits and clips of all. If that cannot be finished, each build makes its own."""
    try:
        with ExitStack() as held:
            homes = [Workspace.open(person.workspace) for person in people]
            for home in homes:
                held.enter_context(locked(home))
            counts = request.recipe.prompts
            supply = StreamSupply(counts=counts.counts, seed=counts.seed)
            synthesize_together(
                [(home, supply) for home in homes],
                synthesis_config_of(request.recipe),
                new_ledger(Workspace.open(f"{request.home.rstrip('/')}/{COMMON}")),
                execute=on_ray_data.run,
                show=request.tell,
            )
    except PerseError as error:
        log.warning("edits and clips could not all be made together (%s); each build makes its own", error)


def _track(recipe: Recipe, person: Person) -> Outcome:
    """The first stage of a build. Whose consent is missing is told before anything is computed."""
    request = _request(recipe, person)
    request.workspace.claim(identity_of(request.photograph))
    settle_consent(request)
    log = BuildLog.open(request.workspace, f"{recipe.name} {person.name}")
    with locked(request.workspace), ExitStack() as held:
        BuildRun(request, held, log).do(Track())
    return Outcome(person)


def _build(recipe: Recipe, person: Person) -> Outcome:
    """The whole build, which finds much of it done."""
    request = _request(recipe, person)
    with locked(request.workspace):
        done = build(request)
    return Outcome(person, metrics=done.metrics, seconds=done.seconds)


def _request(recipe: Recipe, person: Person) -> BuildRequest:
    photograph = read_photograph(person.portrait)
    return BuildRequest(
        recipe=recipe,
        photograph=photograph,
        workspace=Workspace.open(person.workspace),
        consent=read_consent(Path(person.consent)) if person.consent else None,
        show=lambda _: None,
    )


Work = Callable[[Recipe, Person], Outcome]


class _Slots:
    """Processes of this machine that drive builds on the running Ray, each one at a time.

    Args:
        count: how many.
        address: of the Ray.
    """

    def __init__(self, count: int, address: str) -> None:
        self._count, self._address = count, "" if not is_private() else address
        self._free: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()

    def __enter__(self) -> _Slots:
        for _ in range(self._count):
            self._free.put(self._process())
        return self

    def __exit__(self, *failure: object) -> None:
        for _ in range(self._count):
            self._free.get().shutdown(cancel_futures=True)

    def run(self, work: Work, tasks: Sequence[tuple[Recipe, Person]], tell: Callable[[str], None]) -> list[Outcome]:
        """Do all tasks; outcomes in their order."""
        with ThreadPoolExecutor(self._count) as threads:
            waiting = [threads.submit(self._done, work, recipe, person, tell) for recipe, person in tasks]
            return [one.result() for one in waiting]

    def _done(self, work: Work, recipe: Recipe, person: Person, tell: Callable[[str], None]) -> Outcome:
        process, begin = self._free.get(), time.perf_counter()
        try:
            outcome = process.submit(_guarded, work, recipe, person).result()
        except BrokenProcessPool:
            process.shutdown()
            process = self._process()
            outcome = Outcome(person, "its process ended without a word (killed, or out of memory)")
        self._free.put(process)
        step = work.__name__.strip("_")
        tell(f"{person.name}: {step} {outcome.error or f'done in {time.perf_counter() - begin:.0f} s'}")
        return outcome

    def _process(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, get_context("spawn"), initializer=_joined, initargs=(self._address,))


def _joined(address: str) -> None:
    """The driver of a slot joins the Ray of its parent; a cluster of `RAY_ADDRESS` is joined as always."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    chatter.ignore_libraries_warnings()
    if address:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)


def _guarded(work: Work, recipe: Recipe, person: Person) -> Outcome:
    begin = time.perf_counter()
    try:
        return work(recipe, person)
    except PerseError as error:
        return Outcome(person, one_line(error), seconds=time.perf_counter() - begin)
    except Exception as error:
        log.exception("%s", person.name)
        return Outcome(person, one_line(error), seconds=time.perf_counter() - begin)
