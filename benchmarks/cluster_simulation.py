"""A build on 2, 8 and 64 simulated GPUs: does the pipeline keep its bottleneck busy?

    python -m benchmarks.cluster_simulation [--gpus 2 8 64] [--scale 0.33] [--processes] [--synthesis]

Everything is real but the work: Ray Data, the stages' rows and batches, content keys, the workspace's files, the
replacement of rejected edits while the pipeline runs, Ray Train's workers, the morph pool on Ray Serve with its window.
Editors, screens, animators, training steps and morphs sleep for the times that `--plan` reckons with, times `--scale`;
encoder and set-up, which work alone, are added; GPUs are logical. Each line of the tables is a run of its own on a
private Ray.

The workers of a stage are threads of one process (`benchmarks.side_by_side`), which 64 GPUs need on a machine that
holds a dozen processes; with --processes each has its own, as in a build. What takes a machine of two cores time (Ray's
own starts, 0.1 s of a processor a row) is not scaled: a small scale makes the pipeline look worse than it is.

Not simulated: loading of weights, pictures on the network, and the training's GPUs, whose workers claim cores only
(NCCL needs a device): the morph actors get the GPUs that the trainers would leave. The recipe trains on eight workers,
two on two GPUs; 64 GPUs train no faster than eight, so they are left out there. One GPU is refused, as a build refuses
it: an editor claims a whole one, and animators work beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import ray

from benchmarks.command import parser
from benchmarks.side_by_side import side_by_side
from benchmarks.sleeping_studio import (
    Journal,
    NoHead,
    SleepingAnimator,
    SleepingEditor,
    SleepingScreen,
    Span,
    ThreeFrames,
    small_portrait,
)
from benchmarks.sleeping_training import SleepingLoop, SleepingMorphs
from benchmarks.where_time_goes import Processor, Rest, rest_of
from perse.data import archive
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse.recipes import recipe_named
from perse.synthesis.prompts import PAPER_COUNTS, PromptPlan
from perse.training.checkpoint import Checkpoint
from perse_ray.build.balance import BalancedStage, balanced, bound_s
from perse_ray.build.components import pool_of
from perse_ray.build.plan import planned_stages, synthesis_balance, synthesis_s
from perse_ray.build.room import claim_of
from perse_ray.rows import on_ray_data
from perse_ray.rows.stage import Resources
from perse_ray.runtime.placement import await_room
from perse_ray.runtime.session import LocalRay, ray_session
from perse_ray.synthesis.prompt_supply import StreamSupply
from perse_ray.synthesis.stages import SynthesisConfig
from perse_ray.synthesis.synthesize import synthesize
from perse_ray.training.morph_pool import PoolSize, morph_pool
from perse_ray.training.ray_train import TrainTask, WorkerGroup, first_checkpoint, train

CORES_PER_GPU = 12
PROMPTS_PER_GPU = 15
"""The paper's 957 on 64 GPUs; as many for each where there are fewer, so that every run takes about as long."""
TRAIN_GPUS, MORPH_GPUS = 0.75, 0.25
TRAIN_STEPS = 60
LARGEST_TRAINING = 8
"""GPUs; more are no use to it."""


@dataclass(frozen=True)
class Synthesised:
    """What a synthesis came to, in seconds as they passed.

    Attributes:
        gpus, rows, clips: simulated, tried, filmed.
        workers: of each stage.
        wall_s: from its call to its end.
        bound_s: what the slowest stage needs for the rows if it is always busy.
        planned_s: what `--plan` says of it, from the first edit's beginning to the last clip's end.
        first_row_s: until an editor began.
        first_step_s: until the first training step, with encoder and set-up between (and, where trainings are
            simulated, the start of their workers).
        busy: share of the slowest stage's workers that was at work, from their first row to their last one's end.
        gpu_busy_s: GPU-seconds of work in the synthesis.
        between_s: idle GPU-seconds between its end and the first step.
        driver_mib, driver_grew_mib, driver_cpu_s: of this process: at its end, of that since the beginning, and work.
        rest: what the wall has above the bound, and where.
        cpu_s, machine_cpu_s: seconds of a core in the synthesis: of this process and all of Ray, and of the machine.
        load: of the machine at its end, average of a minute.
    """

    gpus: int
    rows: int
    clips: int
    workers: dict[str, int]
    wall_s: float
    bound_s: float
    planned_s: float
    first_row_s: float
    first_step_s: float
    busy: float
    gpu_busy_s: float
    between_s: float
    driver_mib: float
    driver_grew_mib: float
    driver_cpu_s: float
    rest: Rest
    cpu_s: float
    machine_cpu_s: float
    load: float

    @property
    def worked_s(self) -> float:
        """From the first edit's beginning to the end: without the start of the workers, which the plan leaves out."""
        return self.wall_s - self.first_row_s


@dataclass(frozen=True)
class TrainingPace:
    """What the two trainings came to.

    Attributes:
        gpus, workers, actors: simulated; training workers; the largest number of morph actors.
        step_s, finetune_step_s: seconds from step to step, once they run.
        share, finetune_share: of a step's own seconds in them.
        morphs_per_s, morph_share: made in the same time, and the share of it in which an actor was at work.
    """

    gpus: int
    workers: int
    actors: int
    step_s: float
    share: float
    finetune_step_s: float
    finetune_share: float
    morphs_per_s: float
    morph_share: float


def simulate(
    gpus: int, scale: float, execute: on_ray_data.Workers, *, trains: bool
) -> tuple[Synthesised, TrainingPace | None]:
    """A build with the paper's times on so many GPUs."""
    folder = Path(tempfile.mkdtemp(prefix="perse-simulation-"))
    try:
        workspace, journal = Workspace.open(folder / "w"), Journal(str(folder / "journal"))
        archive.save_portrait(workspace, small_portrait())
        with ray_session(LocalRay(num_cpus=CORES_PER_GPU * gpus, num_gpus=gpus)):
            return _build(gpus, scale, execute, workspace, journal, trains=trains)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(
    gpus: int, scale: float, execute: on_ray_data.Workers, workspace: Workspace, journal: Journal, *, trains: bool
) -> tuple[Synthesised, TrainingPace | None]:
    stages = [replace(one, seconds=one.seconds * scale) for one in _stages()]
    nodes = [{"CPU": float(CORES_PER_GPU * gpus), "GPU": float(gpus), "memory": 1e15}]
    sizes = balanced(stages, nodes)
    await_room([claim_of(stage.pool, stage.name) for stage in stages], 1.0)
    wanted = min(957, PROMPTS_PER_GPU * gpus)
    counts = tuple((category, max(1, round(count * wanted / 957))) for category, count in PAPER_COUNTS)
    planned = sum(count for _, count in counts)
    driver, processor = psutil.Process(), Processor()
    begin, cpu, before_mib = time.time(), sum(driver.cpu_times()[:2]), driver.memory_info().rss / 2**20
    found = synthesize(
        workspace, _studio(stages, sizes, journal), StreamSupply(counts=counts),
        execute=partial(on_ray_data.run, workers=execute), show=_show,
    )  # fmt: skip
    end = time.time()
    own_s, machine_s = processor.seconds()
    cpu_s, mib = sum(driver.cpu_times()[:2]) - cpu, driver.memory_info().rss / 2**20
    between = _seconds_between(planned, scale)
    training = _trainings(gpus, scale, workspace, journal) if trains and gpus <= LARGEST_TRAINING else None
    started = between + (journal.spans("train")[0].begin - end if training else 0.0)
    spans = {stage.name: journal.spans(stage.name) for stage in stages}
    slowest = max(stages, key=lambda stage: stage.seconds / sizes[stage.name]).name
    rows = len(found.subjects) + len(found.rejected)
    bound = bound_s(stages, sizes, rows)
    first_s = min(span.begin for span in spans["edit"])
    return Synthesised(
        gpus=gpus,
        rows=rows,
        clips=len(found.subjects),
        workers=sizes,
        wall_s=end - begin,
        bound_s=bound,
        planned_s=scale * synthesis_s(replace(recipe_named("paper"), prompts=PromptPlan(counts)), nodes)[1],
        first_row_s=first_s - begin,
        first_step_s=end - begin + started,
        busy=_busy(spans[slowest], sizes[slowest]),
        gpu_busy_s=sum(stage.pool.gpus * span.seconds for stage in stages for span in spans[stage.name]),
        between_s=gpus * started,
        driver_mib=mib,
        driver_grew_mib=mib - before_mib,
        driver_cpu_s=cpu_s,
        rest=rest_of(begin, end, first_s, spans[slowest], sizes[slowest], bound),
        cpu_s=own_s,
        machine_cpu_s=machine_s,
        load=os.getloadavg()[0],
    ), training


def _stages() -> list[BalancedStage]:
    """The paper's, claiming GPUs and cores but no memory, of which a simulation has none."""
    return [
        replace(one, pool=replace(one.pool, memory_gib=0.0, threads=1))
        for one in synthesis_balance(recipe_named("paper"))
    ]


def _studio(stages: Sequence[BalancedStage], sizes: dict[str, int], journal: Journal) -> SynthesisConfig:
    edit, screen, animate = ((one, replace(pool_of(one.pool), first_workers=sizes[one.name])) for one in stages)
    return SynthesisConfig(
        head=NoHead(),
        editor=SleepingEditor(edit[0].seconds, journal),
        screen=SleepingScreen(screen[0].seconds, journal),
        animator=SleepingAnimator(animate[0].seconds, journal),
        filming=ThreeFrames(),
        edit_pool=edit[1],
        screen_pool=screen[1],
        animate_pool=animate[1],
    )


def _seconds_between(prompts: int, scale: float) -> float:
    """Of one encoder for the prompts, and of the set-up with as many watched subjects as there are."""
    plan = {stage.name: stage for stage in planned_stages(recipe_named("paper"))}
    watched = min(plan["set up"].units, prompts)
    return scale * ((prompts + 1) * plan["encode"].seconds + watched * plan["set up"].seconds)


def _busy(spans: Sequence[Span], workers: int) -> float:
    window = max(span.end for span in spans) - min(span.begin for span in spans)
    return sum(span.seconds for span in spans) / (workers * window)


def _trainings(gpus: int, scale: float, workspace: Workspace, journal: Journal) -> TrainingPace:
    """Some steps of both, each stage on Ray Train."""
    plan = {stage.name: stage for stage in planned_stages(recipe_named("paper"))}
    workers = min(plan["train"].workers, gpus)
    actors = max(2, int((gpus - TRAIN_GPUS * workers) / MORPH_GPUS))
    step_s, finetune_s = (scale * _step_s(plan[name].units, plan[name].seconds, name) for name in ("train", "finetune"))
    group = WorkerGroup(workers=workers, num_cpus=1.0, threads=1)
    _train(workspace, SleepingLoop("train", TRAIN_STEPS, step_s, journal), group)
    morphs = SleepingMorphs(workspace, scale * plan["morph"].seconds, journal)
    size = PoolSize(actors=(2, actors), resources=Resources(num_cpus=1.0, num_gpus=MORPH_GPUS))
    with morph_pool(morphs, size) as pool:
        _train(workspace, SleepingLoop("finetune", TRAIN_STEPS, finetune_s, journal, pool), group)
    first, second = (_steady(journal.spans(name)) for name in ("train", "finetune"))
    made = [span for span in journal.spans("morph") if second[0].begin <= span.end <= second[-1].end]
    every, window = _interval(second), second[-1].end - second[0].begin
    return TrainingPace(
        gpus, workers, actors, _interval(first), step_s / _interval(first), every, finetune_s / every,
        len(made) / window, sum(span.seconds for span in made) / (actors * window),
    )  # fmt: skip


def _step_s(images: int, seconds: float, name: str) -> float:
    recipe = recipe_named("paper")
    assert recipe.finetuning is not None, "the paper's recipe has a second stage"
    steps = recipe.training.steps if name == "train" else recipe.finetuning.training.steps
    return images * seconds / steps / recipe.cluster.train_workers


def _train(workspace: Workspace, loop: SleepingLoop, group: WorkerGroup) -> None:
    first_checkpoint(workspace, loop.stage, Checkpoint(0, {"state.json": b"{}"}))
    train(TrainTask(workspace=workspace, stage=loop.stage, loop=loop), group, show=_show)


def _steady(spans: Sequence[Span]) -> list[Span]:
    """Steps after the first third, when the pool has grown."""
    return sorted(spans, key=lambda span: span.begin)[len(spans) // 3 :]


def _interval(spans: Sequence[Span]) -> float:
    return (spans[-1].end - spans[0].begin) / len(spans)


def _show(line: str) -> None:
    print(line, flush=True)


def _report(synthesised: Sequence[Synthesised], trained: Sequence[TrainingPace], scale: float) -> None:
    """Both tables, at the paper's times."""
    print("\n| GPUs | workers | edits | edits/h | clips/h | wall / bound | from the first edit / bound | "
          "--plan / from the first edit | slowest stage busy | first edit, s | first step, min | idle GPU-s then | "
          "driver, MiB | grown by | driver, CPU s |")  # fmt: skip
    print("|---" * 15 + "|")
    for one in synthesised:
        hour = 3600 * scale / one.wall_s
        workers = ", ".join(f"{count} {name}" for name, count in one.workers.items())
        print(f"| {one.gpus} | {workers} | {one.rows} | {one.rows * hour:.0f} | {one.clips * hour:.0f} | "
              f"{one.wall_s / one.bound_s:.2f} | {one.worked_s / one.bound_s:.2f} | "
              f"{one.planned_s / one.worked_s:.2f} | {one.busy:.1%} | "
              f"{one.first_row_s:.0f} | {one.first_step_s / scale / 60:.1f} | {one.between_s / scale:.0f} | "
              f"{one.driver_mib:.0f} | {one.driver_grew_mib:.0f} | {one.driver_cpu_s:.0f} |")  # fmt: skip
    print("\n| GPUs | bound, s | start | way | ramp | gaps | drain | slow | behind | wall, s | a core's seconds | "
          "a row | the machine's cores busy, by this | by others | load |")  # fmt: skip
    print("|---" * 15 + "|")
    for one in synthesised:
        rest, cores = one.rest, one.wall_s * (os.cpu_count() or 1)
        parts = " | ".join(f"{part:.1f}" for part in asdict(rest).values())
        print(f"| {one.gpus} | {one.bound_s:.0f} | {parts} | {one.wall_s:.0f} | {one.cpu_s:.0f} | "
              f"{one.cpu_s / one.rows:.2f} | {one.cpu_s / cores:.0%} | "
              f"{max(one.machine_cpu_s - one.cpu_s, 0.0) / cores:.0%} | {one.load:.0f} |")  # fmt: skip
    if trained:
        print("\n| GPUs | workers | morph actors | steps/h | trainers busy | fine-tuning steps/h | trainers busy | "
              "morphs/h | actors busy |")  # fmt: skip
        print("|---" * 9 + "|")
    for run in trained:
        print(f"| {run.gpus} | {run.workers} | 2 to {run.actors} | {3600 * scale / run.step_s:.0f} | "
              f"{run.share:.1%} | {3600 * scale / run.finetune_step_s:.0f} | {run.finetune_share:.1%} | "
              f"{3600 * scale * run.morphs_per_s:.0f} | {run.morph_share:.1%} |", flush=True)  # fmt: skip


def main() -> int:
    options = parser(__doc__, quick="two GPUs, and eight")
    options.add_argument("--gpus", type=int, nargs="+", default=[2, 8, 64])
    options.add_argument("--scale", type=float, default=1 / 3, help="of the paper's times")
    options.add_argument("--processes", action="store_true", help="a process for each worker of a stage")
    options.add_argument("--synthesis", action="store_true", help="no trainings, whose workers are processes")
    chosen = options.parse_args()
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # others' memory is no reason to end a simulation
    execute = on_ray_data.apply if chosen.processes else side_by_side
    synthesised, trained = [], []
    for gpus in [2, 8] if chosen.quick else chosen.gpus:
        try:
            synthesis, training = simulate(gpus, chosen.scale, execute, trains=not chosen.synthesis)
        except StageError as error:
            print(f"{gpus} GPUs: {error}", flush=True)
            continue
        assert not ray.is_initialized(), "each run has a Ray of its own"
        synthesised.append(synthesis)
        trained += [] if training is None else [training]
        _report(synthesised, trained, chosen.scale)
        if chosen.json is not None:
            rows = {"scale": chosen.scale, "synthesis": synthesised, "training": trained}
            chosen.json.write_text(json.dumps(rows, default=asdict, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
