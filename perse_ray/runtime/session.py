"""Ray session: a local Ray of our own, or the cluster that this job was submitted to."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
from ray._private import ray_constants

from perse.errors import InputError, StageError
from perse.private_folders import private_folder
from perse_ray.runtime.cluster_address import joined_address, probe

log = logging.getLogger(__name__)

MIN_LOGICAL_CPUS = 4
"""Ray Data stands still where actors claim every logical CPU (measured with 2); logical CPUs cost nothing."""

SHARED_MEMORY = "/dev/shm"
MAX_FOLDER_LENGTH = 38
"""Of 107 characters that the path of a Unix socket may have, Ray adds 69."""


@dataclass(frozen=True, kw_only=True)
class LocalRay:
    """Numbers of a private Ray for this process. Ignored where a cluster is joined."""

    num_cpus: int = 0
    """Logical CPUs; 0 takes the machine's, but four at least."""

    num_gpus: int = 0
    """Logical GPUs, for trying out how stages are placed; 0 takes the machine's."""

    object_store_mib: int = 300
    """Shared memory for objects. Ray's own default is 30 % of the machine; our rows are small."""

    dashboard: bool = False
    """Whether to start the dashboard, on the loopback interface."""


def is_private() -> bool:
    """Whether Ray is, or would be, a local one of this process, instead of a cluster that is joined."""
    return not joined_address()


@contextmanager
def ray_session(local: LocalRay = LocalRay()) -> Iterator[None]:
    """Context with Ray: one that runs already, the cluster of `RAY_ADDRESS`, or a private local one.

    Only what was started here is stopped again.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # warns that its bars are off: ours are on
    if address := joined_address():
        _join(address)
    else:
        _start(local)
    try:
        yield
    finally:
        ray.shutdown()


START_ATTEMPTS = 3
TOO_SLOW = "timed out during startup"
"""What Ray says when its node does not answer in 30 s, a limit that nothing changes (`ray._private.node`)."""

FORWARDED = ("PERSE_WEIGHTS", "PERSE_CACHE", "MLFLOW_TRACKING_URI", "NUMBA_CACHE_DIR")
"""Variables of the driver that its workers on other machines must see too."""


def forwarded_environment() -> dict[str, str]:
    """Environment variables that are set and forwarded, but for the ones that the job itself has brought to all workers
    (Ray takes none twice)."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    known = (job.get("runtime_env") or {}).get("env_vars") or {}
    return {name: os.environ[name] for name in FORWARDED if name in os.environ and name not in known}


def _join(address: str) -> None:
    probe(address)
    log.info("joining the Ray cluster at %s", address)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"env_vars": forwarded_environment()},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"the Ray cluster at {address} cannot be joined: {error}") from error


def _start(local: LocalRay) -> None:
    _own_token()
    _stay_on_this_machine()
    folder = session_folder()
    size = local.object_store_mib * 2**20
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=local.num_cpus or max(MIN_LOGICAL_CPUS, os.cpu_count() or 1),
                num_gpus=local.num_gpus or None,
                object_store_memory=size,
                include_dashboard=local.dashboard,
                log_to_driver=False,
                logging_level=logging.WARNING,
                _temp_dir=str(folder),
                _plasma_directory=object_store_folder(size, folder),
            )
        except Exception as error:  # Ray raises this very class
            if TOO_SLOW not in str(error):
                raise
            log.warning("Ray did not start within its 30 s (%d of %d attempts)", attempt, START_ATTEMPTS)
            ray.shutdown()
        else:
            return
    raise StageError(
        f"Ray did not start on this machine in {START_ATTEMPTS} attempts: it is too busy or short of memory. What is "
        "finished is kept: run the same command again when it has room"
    )


def session_folder() -> Path:
    """Folder where Ray keeps its sockets and logs: readable by nobody else, and short enough for the name of a socket.

    Raises:
        InputError: there is no such place.
    """
    places = [os.environ.get("RAY_TMPDIR", ""), tempfile.gettempdir(), "/tmp", "/var/tmp"]
    places += [os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"]
    try:
        # One folder more: Ray opens the one that it is given to everybody.
        return private_folder("perse-ray", [place for place in places if place], MAX_FOLDER_LENGTH - 2) / "r"
    except OSError:
        raise InputError(
            f"Ray's sockets need a folder that can be written, whose path has {MAX_FOLDER_LENGTH - 18} characters at "
            "most; set RAY_TMPDIR to one"
        ) from None


def object_store_folder(size: int, instead: Path) -> str | None:
    """Folder of the object store: None is Ray's own choice, shared memory; another folder where that is too small."""
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        free = 0 if sys.platform.startswith("linux") else size
    if free >= 1.05 * size:
        return None
    log.warning(
        "%s has %d MiB, the object store takes %d: it lies in %s, which is slower (docker run --shm-size=1g)",
        SHARED_MEMORY,
        free >> 20,
        size >> 20,
        instead,
    )
    return str(instead)


def _stay_on_this_machine() -> None:
    """Have everything that this process starts listen on the loopback interface alone.

    Ray takes the address of the network for the node's, and then listens on all interfaces. `_node_ip_address` does not
    change that, since it translates 127.0.0.1 back. Its switch for systems whose firewall asks does; the processes that
    it starts read it from the environment, this one has read it already.
    """
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    for name in ("no_proxy", "NO_PROXY"):  # a proxy of the network cannot reach what is here
        known = os.environ.get(name, "")
        os.environ[name] = ",".join([*filter(None, known.split(",")), "localhost", "127.0.0.1", "::1"])


def _own_token() -> None:
    """Lock the local cluster with a token of its own, unless the user has arranged that otherwise.

    Ray switches token authentication on by itself, but would write the token to the home directory, readable by
    everybody. (Setting `RAY_AUTH_MODE` here as well would come too late: Ray has read it when it was imported.)
    """
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    if not any(name in os.environ for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
