"""Resources that a run asks of a cluster. Plain numbers: this package knows no scheduler, no result depends on them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class WorkerPool:
    """Pool of workers of one kind."""

    workers: tuple[int, int] = (1, 1)
    """Smallest and largest number of them; (0, 0) is the driver's own process, for what one machine does at once."""
    cpus: float = 0.1
    """Logical CPUs that one claims. Small on one machine, where a pool that claims them all stalls the pipeline."""
    gpus: float = 0.0
    """GPUs that one claims, as fractions too."""
    memory_gib: float = 0.0
    """Memory set aside for one; 0 sets none aside."""
    threads: int = 1
    """Threads that numerical libraries may use in one."""
    batch_size: int = 1
    """Rows handed to one at once."""
    time_limit_s: float = 300.0
    """A row that takes longer is stopped and tried again."""


IN_PROCESS = WorkerPool(workers=(0, 0))
"""The driver's own process, with all its threads."""


@dataclass(frozen=True, kw_only=True)
class ClusterUse:
    """Worker pools of every stage."""

    edit: WorkerPool = field(default_factory=WorkerPool)
    """Editors."""
    screen: WorkerPool = field(default_factory=WorkerPool)
    """Quality screens."""
    animate: WorkerPool = field(default_factory=WorkerPool)
    """Animators."""
    encode: WorkerPool = field(default_factory=lambda: IN_PROCESS)
    """Encoders of f_I and f_T."""
    set_up: WorkerPool = field(default_factory=lambda: IN_PROCESS)
    """Who finds the starting points of an avatar."""
    adapt: WorkerPool = field(default_factory=WorkerPool)
    """Who trains the subjects' adapters, where the teacher of stage 2 has any."""
    morph: WorkerPool = field(default_factory=WorkerPool)
    """Morph actors, which feed the trainers during fine-tuning; one pool for all of them."""
    evaluate: WorkerPool = field(default_factory=lambda: IN_PROCESS)
    """Who measures the avatar."""
    report: WorkerPool = field(default_factory=lambda: IN_PROCESS)
    """Who draws the report's sheets."""
    train_workers: int = 0
    """Data-parallel training workers; 0 trains in the driver's process with all its threads."""
    train_workers_at_least: int = 0
    """With how many of them the avatar's training goes on when machines are lost, until there is room again; 0: with
    all, which it waits for."""
    train: WorkerPool = field(default_factory=WorkerPool)
    """What one training worker claims."""
    checkpoint_every: int = 300
    """Steps of a training between two checkpoints: at most 3 % of a laptop's training goes into them
    (`benchmarks/durability.py`)."""
    checkpoint_every_s: float = 60.0
    """Seconds after which there is one in between; what a kill costs at most."""
    placement_limit_s: float = 60.0
    """How long nodes with room for the smallest pools may take to join; an autoscaler needs minutes."""
    clips_mib: int = 2048
    """Decoded training frames that one process keeps, MiB. Clips that fit are decoded once; of more than that, frames
    are decoded when they are needed and the ones used last are kept."""
