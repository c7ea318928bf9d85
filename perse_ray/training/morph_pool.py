"""The pool of morph actors: one for a whole run, shared by all training workers, made of Ray Serve replicas.

Serve brings what a pool needs: replicas between two bounds that follow the demand, a new one for one that died,
requests that go to replicas which are alive and, of those, to one that has had requests of the same category and frame
(multiplexing), so that a teacher finds ends that it has worked out already. No port is opened: requests travel by
handle.

What a replica makes lies in the workspace's ``morphs/`` under its content key. A repeated run, or another worker, takes
it from there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any, Protocol

import numpy as np
import ray
from numpy.typing import NDArray
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ApplicationStatus

from perse.attributes import Category
from perse.data import archive
from perse.data.keys import content_key
from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays
from perse.data.workspace import Workspace
from perse.errors import StageError, WorkspaceError
from perse.head import HeadModel
from perse.head.sources import HeadSource
from perse.morphing import FrameOrigin, MorphCost, MorphEnd, Morpher, morph_end
from perse_ray.rows.fault_handling import one_line
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.on_ray_data import limit_threads
from perse_ray.rows.stage import Resources
from perse_ray.runtime.claims import Claim
from perse_ray.runtime.placement import await_room
from perse_ray.runtime.serve_session import serve_session

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]

DEPLOYMENT = "morphs"

OPEN_CLIPS = 256
"""Clips that a replica keeps open: their motion, 0.2 MB each, and none of their pictures."""

ROUTES_KNOWN = 64
"""Names of routes that Serve remembers of a replica. What a teacher keeps in memory it bounds itself."""

REQUESTS_UNDER_WAY = 2
"""Of one replica: one is being made, the next one waits beside it."""

ANSWER_S = 0.2
"""What the last answer of a replica takes to be on its way."""


class MorpherConfig(Protocol):
    """Describes a morpher; loaded in the replicas."""

    def build(self) -> Morpher: ...


@dataclass(frozen=True)
class MorphTask:
    """A morph by content: which clips, not which rows of somebody's table.

    Attributes:
        first_clip, second_clip: content keys of the clips.
        category: what they differ in.
        frame_number: position in the shared motion.
        alphas: where between the two.
    """

    first_clip: str
    second_clip: str
    category: Category
    frame_number: int
    alphas: tuple[float, ...]


@dataclass(frozen=True)
class Made:
    """What a task's work made.

    Attributes:
        arrays: the answer, deterministic; this is kept.
        cost: what it took. Never kept: it depends on what the actor remembered.
    """

    arrays: Mapping[str, NDArray[Any]]
    cost: MorphCost = field(default_factory=MorphCost)


class TaskWork(Protocol):
    """Makes the arrays of a task. Deterministic."""

    def __call__(self, task: Any) -> Made: ...


class TaskWorkConfig(Protocol):
    """A small, picklable description of the work."""

    @property
    def workspace(self) -> Workspace:
        """Where what was made is kept."""
        ...

    @property
    def ingredients(self) -> object:
        """What of it decides how morphs look; a part of their content keys."""
        ...

    def build(self) -> TaskWork: ...


@dataclass(frozen=True, kw_only=True)
class MorphWork:
    """How morphs are made."""

    workspace: Workspace
    """Where the clips are."""

    head: HeadSource
    """Whose landmarks guide the warp."""

    morpher: MorpherConfig
    """What makes the pictures."""

    @cached_property
    def ingredients(self) -> object:
        return self.head, self.morpher, fingerprint(self.head, self.morpher)

    def build(self) -> MorphMaker:
        return MorphMaker(self.workspace, self.head.load(), self.morpher.build())


class MorphMaker:
    """Makes morphs; keeps clips open, and decodes the frames it needs."""

    def __init__(self, workspace: Workspace, head: HeadModel, morpher: Morpher) -> None:
        self._workspace, self._head, self._morpher = workspace, head, morpher
        self._opened = lru_cache(maxsize=OPEN_CLIPS)(partial(archive.open_clip, workspace))

    def __call__(self, task: MorphTask) -> Made:
        """images [m, h, w, 3] uint8 on white; alphas [m] float64, where they lie; parts [m, h, w] bool, if known."""
        first, second = self._end(task.first_clip, task), self._end(task.second_clip, task)
        morph = self._morpher.morph(first, second, task.alphas)
        found: Arrays = {"images": morph.images, "alphas": np.asarray(morph.positions, np.float64)}
        if morph.shapes is not None:
            found["parts"] = morph.shapes
        return Made(found, morph.cost)

    def _end(self, key: str, task: MorphTask) -> MorphEnd:
        file = self._opened(key)
        row = file.frame_numbers.tolist().index(task.frame_number)
        origin = FrameOrigin(self._workspace, key, task.frame_number)
        return morph_end(file.clip(row), task.category, self._head, origin)


@dataclass(frozen=True, kw_only=True)
class PoolSize:
    """How many morph actors, and what one claims."""

    actors: tuple[int, int] = (1, 1)
    """Smallest and largest number of them."""

    resources: Resources = field(default_factory=Resources)
    """What one claims."""

    placement_limit_s: float = 60.0
    """How long nodes with room for the smallest number may take to join the cluster."""

    start_limit_s: float = 600.0
    """How long the smallest number may take to find their places and load their weights before the run is ended."""

    task_limit_s: float = 600.0
    """How long one morph may take. A replica that exceeds it ends itself: those that wait behind go elsewhere."""

    @property
    def smallest(self) -> Claim:
        """Room that the smallest number needs."""
        one = self.resources
        return Claim(
            what="morph actors", count=self.actors[0], cpus=one.num_cpus, gpus=one.num_gpus, memory_gib=one.memory_gib
        )


@dataclass(frozen=True)
class MorphPool:
    """A running pool, by name: a value that travels to every training worker.

    Attributes:
        application: name of the Serve application.
        ingredients: digest of what decides how morphs look.
        actors: the largest number of its actors.
        gpus: GPUs that one of them claims.
        task_limit_s: how long one morph may take.
    """

    application: str
    ingredients: str
    actors: int
    gpus: float
    task_limit_s: float

    def handle(self) -> Any:
        """For requests; see `MorphActor.make`."""
        return serve.get_deployment_handle(DEPLOYMENT, self.application)

    def key(self, task: object) -> str:
        """Content key of a task's morph."""
        return content_key("target", self.ingredients, task)


@contextmanager
def morph_pool(work: TaskWorkConfig, size: PoolSize) -> Iterator[MorphPool]:
    """A pool for the length of a block. Needs a running Ray; a Serve that runs already is left as it is.

    Raises:
        StageError: the cluster has no room for the smallest pool, others hold it, or the work cannot be built.
    """
    await_room([size.smallest], size.placement_limit_s)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    pool = MorphPool(
        application=f"perse-morphs-{secrets.token_hex(4)}",
        ingredients=content_key("morph work", work.ingredients),
        actors=size.actors[1],
        gpus=size.resources.num_gpus,
        task_limit_s=size.task_limit_s,
    )
    with serve_session(http=None):
        try:
            _deploy(pool, work, size)
            yield pool
        finally:
            serve.delete(pool.application)


def _deploy(pool: MorphPool, work: TaskWorkConfig, size: PoolSize) -> None:
    low, high = size.actors
    deployment: Any = serve.deployment(MorphActor)
    deployment = deployment.options(
        name=DEPLOYMENT,
        autoscaling_config=AutoscalingConfig(
            min_replicas=low,
            initial_replicas=low,
            max_replicas=high,
            target_ongoing_requests=REQUESTS_UNDER_WAY,
            look_back_period_s=20.0,
            upscale_delay_s=5.0,
            downscale_delay_s=300.0,
        ),
        ray_actor_options={
            "num_cpus": size.resources.num_cpus,
            "num_gpus": size.resources.num_gpus,
            "memory": size.resources.memory_gib * 2**30 or None,
        },
        max_ongoing_requests=REQUESTS_UNDER_WAY,
        max_constructor_retry_count=2,
        graceful_shutdown_timeout_s=1.0,
        graceful_shutdown_wait_loop_s=0.2,
    )
    bound = deployment.bind(work, size.resources.threads, size.task_limit_s)
    target = serve.RunTarget(bound, name=pool.application, route_prefix=None)
    serve.run_many([target], wait_for_applications_running=False)
    _await_running(pool.application, size)


def _await_running(application: str, size: PoolSize) -> None:
    deadline = time.monotonic() + size.start_limit_s
    while True:
        state = serve.status().applications.get(application)
        if state is not None and state.status == ApplicationStatus.RUNNING:
            return
        if state is not None and state.status == ApplicationStatus.DEPLOY_FAILED:
            raise StageError(
                f"morph actors cannot start: {_cause(' '.join(d.message for d in state.deployments.values()))}"
            )
        if time.monotonic() > deadline:
            raise StageError(_late(size))
        time.sleep(0.1)


def _late(size: PoolSize) -> str:
    """What to say when nothing has failed, and the pool is not there."""
    free = ray.available_resources()
    return (
        f"after {size.start_limit_s:.0f} s there are not yet {size.smallest}; free on the cluster are "
        f"{free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU: wait for whoever holds the rest, or add nodes"
    )


def _cause(message: str) -> str:
    """What a constructor raised, without Serve's account of its tries."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return (errors[-1].rpartition("Error: ")[2] if errors else " ".join(lines) or "no reason was given")[:400]


@dataclass(frozen=True)
class Answer:
    """An actor's answer.

    Attributes:
        arrays: of the task.
        found: whether they lay in the workspace.
        cost: what the actor spent on it.
    """

    arrays: Arrays
    found: bool
    cost: MorphCost


class MorphActor:
    """A Serve replica that makes morphs and keeps them."""

    def __init__(self, work: TaskWorkConfig, threads: int, task_limit_s: float) -> None:
        limit_threads(threads)
        self._workspace = work.workspace
        self._work = work.build()
        self._task_limit_s = task_limit_s
        self._one_at_a_time = asyncio.Lock()

    @serve.multiplexed(max_num_models_per_replica=ROUTES_KNOWN)
    async def _known(self, route: str) -> str:
        """Serve sends a route's next requests to replicas where this was called for it."""
        return route

    async def make(self, key: str, task: Any) -> Answer:
        """The arrays of a task, from the workspace or made.

        Raises:
            TimeoutError: it takes too long. Its thread cannot be stopped, so the replica ends; Serve starts another.
        """
        route = serve.get_multiplexed_model_id()
        if route:
            await self._known(route)
        async with self._one_at_a_time:
            begin = time.perf_counter()
            making = asyncio.to_thread(make_cached, self._work, self._workspace, key, task)
            try:
                made, found = await asyncio.wait_for(making, self._task_limit_s)
            except TimeoutError:
                asyncio.get_running_loop().call_later(ANSWER_S, os._exit, 1)
                raise TimeoutError(f"a morph took longer than {self._task_limit_s:g} s") from None
            seconds = time.perf_counter() - begin
            return Answer(dict(made.arrays), found, replace(made.cost, seconds=seconds))


def make_cached(work: TaskWork, workspace: Workspace, key: str, task: Any) -> tuple[Made, bool]:
    """A morph from the workspace (True), or made and put there (False)."""
    cached = read_cached(workspace, key)
    if cached is not None:
        return Made(cached), True
    made = work(task)
    arrays = {name: np.ascontiguousarray(value) for name, value in made.arrays.items()}
    workspace.write(f"morphs/{key}.npz", arrays_to_npz(arrays))
    return Made(arrays, made.cost), False


def read_cached(workspace: Workspace, key: str) -> Arrays | None:
    """A morph that lies in the workspace; a damaged file counts as absent and is made again."""
    if not workspace.has(f"morphs/{key}.npz"):
        return None
    try:
        return npz_to_arrays(workspace.read(f"morphs/{key}.npz"))
    except (ValueError, OSError, KeyError, WorkspaceError) as error:
        log.warning("cached morph %s is damaged and will be made again: %s", key, one_line(error))
        return None
