"""Room for a recipe's workers on a cluster's nodes: what they need, and how many of them fit. Knows no Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perse.recipes.resources import ClusterUse, WorkerPool
from perse_ray.runtime.claims import WorkerClaim, fits, room_for

Node = Mapping[str, float]
"""Resources of a node under Ray's names: CPU, GPU, memory in bytes."""

CORES_PER_GPU, GIB_PER_GPU = 12, 140.0
"""Of a machine with eight GPUs, as clouds have them."""


def equal_nodes(count: int, gpus: int, cpus: int | None = None, memory_gib: float | None = None) -> list[Node]:
    """Nodes of so many GPUs each; cores and memory as such machines have them, if nothing else is said."""
    cores = CORES_PER_GPU * gpus if cpus is None else cpus
    gib = GIB_PER_GPU * gpus if memory_gib is None else memory_gib
    return [{"CPU": float(cores), "GPU": float(gpus), "memory": gib * 2**30}] * count


def claim_of(pool: WorkerPool, what: str, count: int | None = None) -> WorkerClaim:
    """Room for so many of a pool's workers; for its smallest number by default."""
    workers = pool.workers[0] if count is None else count
    return WorkerClaim(what=what, count=workers, cpus=pool.cpus, gpus=pool.gpus, memory_gib=pool.memory_gib)


def synthesis_claims(cluster: ClusterUse) -> list[WorkerClaim]:
    """Room that editors, screens and animators need at the same time."""
    pools = {"editors": cluster.edit, "screens": cluster.screen, "animators": cluster.animate}
    return [claim_of(pool, what) for what, pool in pools.items()]


def training_claims(cluster: ClusterUse) -> list[WorkerClaim]:
    """Room that all training workers need at the same time; none where the driver trains."""
    count = cluster.train_workers_at_least or cluster.train_workers
    return [claim_of(cluster.train, "training workers", count)] if cluster.train_workers else []


def finetuning_claims(cluster: ClusterUse) -> list[WorkerClaim]:
    """Room that the training workers need together with the smallest pool of morph actors."""
    return [claim_of(cluster.morph, "morph actors"), *training_claims(cluster)]


def gpus_for_training(cluster: ClusterUse) -> int:
    """GPUs that hold all training workers and the smallest pool of morph actors; 0 where nobody uses any."""
    claims = [claim_of(cluster.morph, "morph actors"), claim_of(cluster.train, "workers", cluster.train_workers)]
    if not any(claim.gpus for claim in claims):
        return 0
    most = sum(claim.count for claim in claims)
    return next(gpus for gpus in range(1, most + 1) if fits([{"GPU": 1.0, "CPU": 1e9, "memory": 1e18}] * gpus, claims))


def held_workers(pool: WorkerPool, nodes: Sequence[Node], beside: Sequence[WorkerClaim] = ()) -> int:
    """Number of a pool's workers that nodes hold beside others, within its bounds; its smallest number even where there
    is no room for that."""
    low, high = pool.workers
    return max(low, room_for(nodes, claim_of(pool, "workers"), beside, high)) if high else 0


def morph_actors(cluster: ClusterUse, nodes: Sequence[Node]) -> tuple[int, int]:
    """Bounds of the pool: at most as many actors as have room beside all training workers. A larger pool would ask the
    cluster without end for what it cannot give, and the trainers would reckon with answers that nobody makes."""
    beside = [claim_of(cluster.train, "training workers", cluster.train_workers)] if cluster.train_workers else []
    return cluster.morph.workers[0], held_workers(cluster.morph, nodes, beside)
