"""Storage that a cluster's machines must share: the workspace and the tracking server, and nothing else.

A folder of the driver's machine is no place for results: under `ray job submit` it lies in Ray's unpacked copy of the
project and is deleted with it, and other nodes do not see it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from perse.data.workspace import MARKER, Workspace
from perse.errors import StageError, WorkspaceError
from perse_ray.runtime.session import is_private

LOOK_LIMIT_S = 60.0


def check_location(location: str) -> None:
    """Refuse, on a cluster, a workspace that would vanish. Nothing is made there.

    Raises:
        WorkspaceError: it is a relative path.
    """
    if not is_private() and "://" not in location and not Path(location).expanduser().is_absolute():
        raise WorkspaceError(
            f"on a cluster --workspace {location} would lie in a folder that is deleted with the job; give an address "
            "(--workspace s3://bucket/me) or an absolute path that all nodes share"
        )


def check_tracking(workspace: Workspace) -> None:
    """Refuse, on a cluster, runs that would be tracked in such a folder.

    Raises:
        WorkspaceError: the workspace lies on an object store and no tracking server is named.
    """
    if not is_private() and not workspace.is_local and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise WorkspaceError(
            f"{workspace.location} has no room for MLflow's database; set MLFLOW_TRACKING_URI to a tracking server "
            "(http://…), or choose an absolute path that all nodes share as --workspace"
        )


def check_seen_by_all(workspace: Workspace) -> None:
    """Look at the workspace from every node of the running Ray.

    Raises:
        StageError: a node does not see it; the message names the node.
    """
    looks = [
        (
            node["NodeManagerAddress"],  # which several nodes of one machine share
            ray.remote(num_cpus=0)(_sees)
            .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
            .remote(workspace),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    for address, look in looks:
        if not _answered(look, address):
            raise StageError(
                f"the node {address} does not see {workspace.location}; choose a --workspace that all nodes share: an "
                "address (s3://bucket/me) or a path on a common file system"
            )


def _answered(look: Any, address: str) -> bool:
    try:
        return bool(ray.get(look, timeout=LOOK_LIMIT_S))
    except (RayError, TimeoutError) as error:
        raise StageError(f"the node {address} does not answer within {LOOK_LIMIT_S:.0f} s ({error})") from error


def _sees(workspace: Workspace) -> bool:
    try:
        return workspace.has(MARKER)
    except WorkspaceError:
        return False
