"""Replicas of the morph pool, and how Ray Serve is told to run them.

Serve brings what a pool needs: replicas between two bounds that follow the demand, a new one for one that died,
requests that go to replicas which are alive and, of those, to one that has had requests of the same category and frame
(multiplexing), so that a teacher finds ends that it has worked out already.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ApplicationStatus

from perse.errors import StageError
from perse_ray.rows.on_ray_data import limit_threads
from perse_ray.training.morph_pool import DEPLOYMENT, REQUESTS_UNDER_WAY, MorphPool, PoolSize
from perse_ray.training.morph_work import Answer, TaskWorkConfig, make_cached

ROUTES_KNOWN = 64
"""Names of routes that Serve remembers of a replica. What a teacher keeps in memory it bounds itself."""

ANSWER_S = 0.2
"""What the last answer of a replica takes to be on its way."""


class MorphActor:
    """Replica of Serve that makes morphs and keeps them."""

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
        """Arrays of a task, from the workspace or made.

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


def deploy(pool: MorphPool, work: TaskWorkConfig, size: PoolSize) -> None:
    """Start a pool and wait until its smallest number of replicas is there.

    Raises:
        StageError: the work cannot be built, or time is up.
    """
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
