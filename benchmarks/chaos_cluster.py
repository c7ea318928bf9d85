"""A cluster of several nodes on this machine, whose nodes and head are killed as machines are: at once.

Each node is a raylet with workers of its own (`ray.cluster_utils`). With a node its workers die; with the head, which
keeps the cluster's state, everything ends: there is a new cluster then, and the driver begins again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


class KillableCluster:
    """A head without work, and nodes that have it.

    Args:
        nodes: how many.
        cpus: logical, of one.
    """

    def __init__(self, nodes: int, cpus: int = 4) -> None:
        self._count, self._cpus = nodes, cpus
        self._cluster = self._started()

    @property
    def address(self) -> str:
        """For a driver's RAY_ADDRESS."""
        return str(self._cluster.address)

    def kill_node(self, rng: random.Random) -> bool:
        """One node and all its workers; a new one comes in its place."""
        node = rng.choice(sorted(self._cluster.worker_nodes, key=lambda node: node.node_id))
        self._cluster.remove_node(node, allow_graceful=False)
        self._add()
        return True

    def kill_head(self) -> bool:
        """Everything; there is a new cluster at another address."""
        self.close()
        self._cluster = self._started()
        return True

    def close(self) -> None:
        for node in [*self._cluster.worker_nodes, self._cluster.head_node]:
            node.kill_all_processes(check_alive=False, allow_graceful=False)

    def _started(self) -> Cluster:
        head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, connect=False, head_node_args=head)
        for _ in range(self._count):
            self._add()
        return self._cluster

    def _add(self) -> None:
        self._cluster.add_node(num_cpus=self._cpus, object_store_memory=STORE_BYTES)


@contextmanager
def killable_cluster(nodes: int) -> Iterator[KillableCluster | None]:
    """A cluster for the length of a block; None where no nodes are asked for, and each driver has a Ray of its own."""
    if not nodes:
        yield None
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    cluster = KillableCluster(nodes)
    try:
        yield cluster
    finally:
        cluster.close()
