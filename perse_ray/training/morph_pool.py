"""Pool of morph actors: one for a whole run, shared by all training workers, made of Ray Serve replicas.

Serve is imported where it is used: the workers of the first training, which import this module too, need none of it.
No port is opened: requests travel by handle. What the replicas make is in `perse_ray.training.morph_work`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from perse.data.keys import content_key
from perse_ray.rows.stage import Resources
from perse_ray.runtime.claims import WorkerClaim
from perse_ray.runtime.placement import await_room
from perse_ray.training.morph_work import TaskWorkConfig

DEPLOYMENT = "morphs"

REQUESTS_UNDER_WAY = 2
"""Of one replica: one is being made, the next one waits beside it."""


@dataclass(frozen=True, kw_only=True)
class PoolSize:
    """Size of a pool: how many morph actors, and what one claims."""

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
    def smallest(self) -> WorkerClaim:
        """Room that the smallest number needs."""
        one = self.resources
        return WorkerClaim(
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
        """Handle for requests; see `perse_ray.training.morph_actor.MorphActor.make`."""
        from ray import serve

        return serve.get_deployment_handle(DEPLOYMENT, self.application)

    def key(self, task: object) -> str:
        """Content key of a task's morph."""
        return content_key("target", self.ingredients, task)


@contextmanager
def morph_pool(work: TaskWorkConfig, size: PoolSize) -> Iterator[MorphPool]:
    """Context with a pool. Needs a running Ray; a Serve that runs already is left as it is.

    Raises:
        StageError: the cluster has no room for the smallest pool, others hold it, or the work cannot be built.
    """
    from ray import serve

    from perse_ray.runtime.serve_session import serve_session
    from perse_ray.training.morph_actor import deploy

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
            deploy(pool, work, size)
            yield pool
        finally:
            serve.delete(pool.application)
