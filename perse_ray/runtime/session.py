"""One machine is a cluster of one: a local Ray of our own, or the cluster that this job was submitted to."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

log = logging.getLogger(__name__)

MIN_LOGICAL_CPUS = 4
"""Ray Data stands still where actors claim every logical CPU (measured with 2); logical CPUs cost nothing."""


@dataclass(frozen=True, kw_only=True)
class LocalRay:
    """A private Ray for this process. Ignored where a cluster is joined."""

    num_cpus: int = 0
    """Logical CPUs; 0 takes the machine's, but four at least."""

    object_store_mib: int = 300
    """Shared memory for objects. Ray's own default is 30 % of the machine; our rows are small."""

    dashboard: bool = False
    """Whether to start the dashboard, on the loopback interface."""


def is_private() -> bool:
    """Whether Ray is, or would be, a local one of this process, instead of a cluster that is joined."""
    return not os.environ.get("RAY_ADDRESS")


@contextmanager
def ray_session(local: LocalRay = LocalRay()) -> Iterator[None]:
    """Ray, for the length of a block: one that runs already, the cluster of `RAY_ADDRESS`, or a private local one.

    Only what was started here is stopped again.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # warns that its bars are off: ours are on
    if not is_private():
        log.info("joining the Ray cluster at %s", os.environ["RAY_ADDRESS"])
        ray.init(log_to_driver=False, logging_level=logging.WARNING, runtime_env={"env_vars": forwarded_environment()})
    else:
        _start(local)
    try:
        yield
    finally:
        ray.shutdown()


FORWARDED = ("PERSE_WEIGHTS", "PERSE_CACHE", "MLFLOW_TRACKING_URI", "NUMBA_CACHE_DIR")
"""Variables of the driver that its workers on other machines must see too."""


def forwarded_environment() -> dict[str, str]:
    """Those that are set, but for the ones that the job itself has brought to all workers (Ray takes none twice)."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    known = (job.get("runtime_env") or {}).get("env_vars") or {}
    return {name: os.environ[name] for name in FORWARDED if name in os.environ and name not in known}


def _start(local: LocalRay) -> None:
    _own_token()
    ray.init(
        address="local",
        num_cpus=local.num_cpus or max(MIN_LOGICAL_CPUS, os.cpu_count() or 1),
        object_store_memory=local.object_store_mib * 2**20,
        include_dashboard=local.dashboard,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )


def _own_token() -> None:
    """Lock the local cluster with a token of its own, unless the user has arranged that otherwise.

    Ray switches token authentication on by itself, but would write the token to the home directory, readable by
    everybody. (Setting `RAY_AUTH_MODE` here as well would come too late: Ray has read it when it was imported.)
    """
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    if not any(name in os.environ for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
