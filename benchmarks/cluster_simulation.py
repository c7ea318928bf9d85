"""A build's synthesis on 1, 8 and 64 simulated GPUs: does the pipeline keep its bottleneck busy?

    python -m benchmarks.cluster_simulation [--gpus 2 8 64] [--scale 0.33] [--json FILE]

Everything is real but the work: Ray Data, the stages' rows, content keys, the workspace's files, the replacement of
rejected edits while the pipeline runs. Editors, screens and animators sleep for the times that `--plan` reckons with,
times `--scale`; GPUs are logical. Each row of the table is a run of its own on a private Ray: rows an hour, the share
of the time in which the slowest stage worked, how far the run was from the bound that this stage sets, what the driver
took, and how long it was until the first clip. A machine of two cores hands over about ten rows a second; a scale that
asks for more measures that machine and not the pipeline. One GPU is refused, as a build refuses it: an editor claims a
whole one, and animators work beside it. A worker is a process of up to 0.8 GB: 8 GPUs have 17 of them, and 64 have 117,
which want a machine of 64 GB.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import ray
import torch
from numpy.typing import NDArray

from benchmarks.command import parser, report
from benchmarks.timing import Row
from perse.attributes import Part
from perse.data import AttributePrompt, EditedPortrait, PartMasks, PortraitClip, TrackedPortrait, Verdict, archive
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters
from perse.recipes import recipe_named
from perse.recipes.resources import WorkerPool
from perse.synthesis.prompts import PAPER_COUNTS
from perse.synthesis.seams import Shot
from perse_ray.build.balance import BalancedStage, balanced, bound_s
from perse_ray.build.components import claim_of, pool_of
from perse_ray.build.plan import synthesis_balance
from perse_ray.rows import on_ray_data
from perse_ray.runtime.placement import await_room
from perse_ray.runtime.session import LocalRay, ray_session
from perse_ray.synthesis.prompt_supply import StreamSupply
from perse_ray.synthesis.stages import Studio
from perse_ray.synthesis.synthesize import synthesize

SIZE_PX = 8
CORES_PER_GPU = 12
REJECTED_SHARE = 0.05
"""Of the edits: they are replaced while the pipeline runs."""
PROMPTS_PER_GPU = 15
"""The paper's 957 on 64 GPUs; as many for each where there are fewer, so that every run takes about as long."""


@dataclass(frozen=True)
class NoHead:
    def load(self) -> HeadModel:
        return None  # type: ignore[return-value]


@dataclass(frozen=True)
class SleepingEditor:
    """Takes its time and returns the portrait."""

    seconds: float

    def build(self, head: HeadModel) -> SleepingEditor:
        return self

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        time.sleep(self.seconds)
        mask = np.full((SIZE_PX, SIZE_PX), 255, np.uint8)
        return EditedPortrait("", prompt, portrait.image, portrait.masks, mask, (), None, (("backend", "sleep"),))


@dataclass(frozen=True)
class SleepingScreen:
    """Rejects a share of the edits by their seeds."""

    seconds: float

    def build(self, head: HeadModel) -> SleepingScreen:
        return self

    def screen(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Verdict:
        time.sleep(self.seconds)
        bad = edited.prompt.seed % 100 < 100 * REJECTED_SHARE
        return Verdict(not bad, ("by lot",) if bad else (), ())


@dataclass(frozen=True)
class SleepingAnimator:
    """Three frames of the portrait, after a while."""

    seconds: float

    def build(self, head: HeadModel) -> SleepingAnimator:
        return self

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        time.sleep(self.seconds)
        frames = len(shot.frame_numbers)
        return PortraitClip(
            "", shot.frame_numbers, np.repeat(portrait.image[None], frames, 0), _full(frames), _full(frames, Part.SKIN),
            shot.motion.with_identity(portrait.head), portrait.camera,
        )  # fmt: skip


@dataclass(frozen=True)
class ThreeFrames:
    def shot(self, head: HeadModel) -> Shot:
        motion = HeadParameters(torch.zeros(2), torch.zeros(3, 3), torch.zeros(3, 2), torch.zeros(3, 5, 3))
        return Shot(np.array([0, 8, 400], np.int32), motion, SIZE_PX)


def _full(frames: int, value: int = 255) -> NDArray[np.uint8]:
    return np.full((frames, SIZE_PX, SIZE_PX), int(value), np.uint8)


def small_portrait() -> TrackedPortrait:
    soft = np.zeros((len(Part), SIZE_PX, SIZE_PX), np.uint8)
    soft[Part.SKIN] = 255
    return TrackedPortrait(
        key="somebody",
        image=np.random.default_rng(0).integers(0, 255, (SIZE_PX, SIZE_PX, 3), np.uint8),  # flat clips are refused
        inside=_full(1)[0],
        landmarks_px=np.zeros((478, 3), np.float32),
        masks=PartMasks(soft, _full(1)[0]),
        head=HeadParameters(torch.zeros(2), torch.zeros(3, 3), torch.zeros(2), torch.zeros(5, 3)),
        camera=Camera(torch.eye(4), torch.eye(3), SIZE_PX, SIZE_PX),
        face_width_px=4.0,
        fit_rms_px=0.0,
    )


@dataclass(frozen=True)
class Simulated:
    """What one run came to."""

    rows: int
    wall_s: float
    first_clip_s: float
    bound_s: float
    driver_mib: float
    driver_cpu_s: float
    sizes: dict[str, int]


def simulate(gpus: int, scale: float, show: Callable[[str], None]) -> Simulated:
    """The paper's synthesis with its times, on so many GPUs."""
    stages = [replace(one, seconds=one.seconds * scale) for one in _stages()]
    cpus = CORES_PER_GPU * gpus
    nodes = [{"CPU": cpus, "GPU": gpus, "memory": 1e15}]
    sizes = balanced(stages, nodes)
    edit, screen, animate = ((stage, replace(pool_of(stage.pool), first_workers=sizes[stage.name])) for stage in stages)
    studio = Studio(
        head=NoHead(),
        editor=SleepingEditor(edit[0].seconds),
        screen=SleepingScreen(screen[0].seconds),
        animator=SleepingAnimator(animate[0].seconds),
        filming=ThreeFrames(),
        edit_pool=edit[1],
        screen_pool=screen[1],
        animate_pool=animate[1],
    )
    wanted = min(957, PROMPTS_PER_GPU * gpus)
    counts = tuple((category, max(1, round(count * wanted / 957))) for category, count in PAPER_COUNTS)
    folder = Path(tempfile.mkdtemp(prefix="perse-simulation-"))
    driver, first_clip = psutil.Process(), _FirstClip()
    try:
        workspace = Workspace.open(folder / "w")
        archive.save_portrait(workspace, small_portrait())
        with ray_session(LocalRay(num_cpus=cpus, num_gpus=gpus)):
            await_room([claim_of(stage.pool, stage.name) for stage in stages], 1.0)
            begin, cpu = time.perf_counter(), sum(driver.cpu_times()[:2])
            first_clip.watch(workspace, begin)
            found = synthesize(workspace, studio, StreamSupply(counts=counts), execute=on_ray_data.run, show=show)
            wall = time.perf_counter() - begin
        rows = len(found.subjects) + len(found.rejected)
        return Simulated(
            rows, wall, first_clip.seconds, bound_s(stages, sizes, rows), driver.memory_info().rss / 2**20,
            sum(driver.cpu_times()[:2]) - cpu, sizes,
        )  # fmt: skip
    finally:
        first_clip.stop()
        shutil.rmtree(folder, ignore_errors=True)


class _FirstClip:
    """Notices when the first clip lies in the workspace."""

    def __init__(self) -> None:
        self.seconds = float("nan")
        self._ended = threading.Event()

    def watch(self, workspace: Workspace, begin: float) -> None:
        def look() -> None:
            while not self._ended.wait(0.2):
                if workspace.names("clips", ".parquet"):
                    self.seconds = time.perf_counter() - begin
                    return

        threading.Thread(target=look, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()


def _stages() -> list[BalancedStage]:
    """The paper's, claiming GPUs and cores but no memory, of which a simulation has none; edits come one by one."""
    light = {"memory_gib": 0.0, "batch_size": 1, "threads": 1}
    return [replace(one, pool=_light(one.pool, light)) for one in synthesis_balance(recipe_named("paper"))]


def _light(pool: WorkerPool, light: dict[str, float]) -> WorkerPool:
    return replace(pool, **light)  # type: ignore[arg-type]


def main() -> int:
    options = parser(__doc__, quick="two GPUs, and eight")
    options.add_argument("--gpus", type=int, nargs="+", default=[2, 8, 64])
    options.add_argument("--scale", type=float, default=1 / 3, help="of the paper's times")
    chosen = options.parse_args()
    rows = []
    for gpus in [2, 8] if chosen.quick else chosen.gpus:
        try:
            found = simulate(gpus, chosen.scale, lambda line: print(line, flush=True))
        except StageError as error:
            print(f"{gpus} GPUs: {error}", flush=True)
            continue
        assert not ray.is_initialized(), "each run has a Ray of its own"
        waited = found.wall_s - found.first_clip_s
        times = {
            "wall": 1000 * found.wall_s,
            "bound": 1000 * found.bound_s,
            "until the first clip": 1000 * found.first_clip_s,
        }
        measures = {
            "edits/h at the paper's times": found.rows / found.wall_s * chosen.scale * 3600,
            "wall / bound": found.wall_s / found.bound_s,
            "without the start / bound": waited / found.bound_s,
            "bottleneck busy, share": min(1.0, found.bound_s / waited),
            "driver, MiB": found.driver_mib,
            "driver, CPU s": found.driver_cpu_s,
        }
        workers = ", ".join(f"{count} {name}" for name, count in found.sizes.items())
        rows.append(Row("Synthesis, simulated", f"{gpus} GPUs, {found.rows} edits ({workers})", times, measures))
        report(rows, chosen.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
