"""An avatar with the paper's networks on one GPU, in minutes: the way that a user goes, with fewer subjects.

    python -m benchmarks.gpu_build prepare --workspace runs/gpu      all that needs no GPU, on any machine
    python -m benchmarks.gpu_build run --workspace runs/gpu          the rest of the same build, on a machine with a GPU
    perse render turntable --workspace runs/gpu --out gpu.mp4

Recipe: procedural editor and animator at 512 px, the `networks` decoder, 130,000 Gaussians on gsplat, stage 1, stage 2
with the redrawing teacher, both evaluations, report. What `run` prints at its end: images a second in training, frames
a second at 512² and 1024², the largest memory of the device, and the GPU-hours that an identity of the paper would take
at that pace. Without a CUDA device `run` says so and does nothing.

With --device cpu both go the same way at the size of a stamp, in a minute or two: a rehearsal, which measures nothing.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import skimage.data
import torch

from perse.avatar import AvatarConfig, LatentConfig, NetworksConfig, load_avatar
from perse.data.workspace import Workspace
from perse.head import HeadParameters
from perse.recipes import Recipe, recipe_named
from perse.recipes.filming import Filming
from perse.recipes.resources import WorkerPool
from perse.render import CpuRasterizer, GsplatRasterizer, rasterize
from perse_ray.build.build import build
from perse_ray.build.request import BuildRequest
from perse_ray.build.run import BuildRun
from perse_ray.build.stages import Encode, SetUp, Synthesize, Track
from perse_ray.registry.mlflow_log import BuildLog

PAPER_IMAGES = 50_000 * 8 * 4 + 4_785 * 8 * 8
"""Of both stages of the recipe `paper`."""

STEPS, REHEARSED_STEPS, TUNING_STEPS = 600, 24, 40
PRECISIONS = ("float32", "tf32", "bf16")


def recipe(steps: int = STEPS, precision: str = "bf16") -> Recipe:
    """The paper's numbers with the laptop's synthesis, on one GPU."""
    paper, laptop = recipe_named("paper"), recipe_named("laptop")
    gpu = WorkerPool(gpus=1, cpus=4, threads=4, time_limit_s=1800)
    decoder = NetworksConfig(precision=precision, compile=precision == "bf16")  # type: ignore[arg-type]
    training = replace(paper.training, steps=steps, losses=replace(paper.training.losses, vgg_checkpoint=None))
    assert paper.finetuning is not None, "the paper's recipe has a second stage"
    tuning = replace(
        paper.finetuning,
        training=replace(paper.finetuning.training, steps=min(steps, TUNING_STEPS), losses=training.losses),
    )
    return replace(
        laptop,
        name="gpu-build",
        filming=Filming(stride=16, size_px=512),
        avatar=AvatarConfig(latents=LatentConfig(), decoder=decoder),
        training=training,
        finetuning=tuning,
        rasterizer=GsplatRasterizer(),
        cluster=replace(laptop.cluster, train_workers=1, train=gpu, evaluate=gpu, report=gpu),
    )


def rehearsal(steps: int = REHEARSED_STEPS) -> Recipe:
    """The same recipe at the sizes of `paper-tiny`, for a machine without a GPU."""
    whole, tiny = recipe(steps, "float32"), recipe_named("paper-tiny")
    assert whole.finetuning is not None, "it has a second stage"
    here = WorkerPool(time_limit_s=600)
    fewer = tiny.training.densification
    return replace(
        whole,
        name="gpu-build-rehearsal",
        prompts=tiny.prompts,
        filming=tiny.filming,
        avatar=tiny.avatar,
        start=tiny.start,
        training=replace(whole.training, densification=fewer),
        finetuning=replace(whole.finetuning, training=replace(whole.finetuning.training, steps=4)),
        evaluation=tiny.evaluation,
        rasterizer=CpuRasterizer(threads=1),
        cluster=replace(whole.cluster, train=here, evaluate=here, report=here),
    )


def prepare(workspace: Workspace, wanted: Recipe) -> None:
    """Everything up to the first checkpoint, which needs no GPU; `run` finds it."""
    request = BuildRequest(recipe=wanted, photograph=skimage.data.astronaut(), workspace=workspace)
    with ExitStack() as held, BuildLog.open(workspace, wanted.name).recorded() as log:
        run = BuildRun(request, held, log)
        for stage in (Track(), Synthesize(), Encode(), SetUp()):
            run.do(stage)


def run(workspace: Workspace, wanted: Recipe, device: torch.device) -> None:
    """The rest of the build, and the paces."""
    begin = time.perf_counter()
    with peak_memory(device) as peak:
        done = build(BuildRequest(recipe=wanted, photograph=skimage.data.astronaut(), workspace=workspace))
    build_s, train_s = time.perf_counter() - begin, done.metrics["seconds"]["train"]
    rate = wanted.training.steps * (wanted.training.edits_per_step + 1) / train_s
    size_px = wanted.filming.size_px
    if device.type == "cuda":
        decoder = wanted.avatar.decoder
        assert isinstance(decoder, NetworksConfig), "the recipe says so"
        how = f"{decoder.precision}, {'compiled' if decoder.compile else 'not compiled'}"
        print(f"\n{torch.cuda.get_device_name()}, {how}, {done.metrics['n_gaussians']:,} Gaussians at {size_px}²")
    else:
        print(f"\nREHEARSAL on a CPU at {size_px}²: the path is the same, and no number below means anything")
    before = ", ".join(done.skipped) or "nothing"
    print(f"finished before: {before}")
    print(f"training     {rate:.1f} images/s over all of stage 1, the worker's start, compiling and growth included")
    print(
        f"an identity  {PAPER_IMAGES / rate / 3600:.1f} GPU-hours for the paper's {PAPER_IMAGES:,} images at that pace"
    )
    print(f"unseen poses {done.metrics['psnr']:.2f} dB; the build from here {build_s:.0f} s")
    for side in (size_px, 2 * size_px):
        print(f"rendering    {frames_per_second(workspace, wanted, side, device):.0f} frames/s at {side}²")
    print(f"memory       {max(peak, default=0) / 2**30:.1f} GiB of the device at most during the build")


@contextmanager
def peak_memory(device: torch.device) -> Iterator[list[int]]:
    """Bytes of a device that are taken, by all processes together (the trainer is another one), twice a second."""
    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.5):
            free, total = torch.cuda.mem_get_info(device)
            seen.append(total - free)

    thread = threading.Thread(target=look, daemon=True)
    if device.type == "cuda":
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()


def frames_per_second(
    workspace: Workspace, wanted: Recipe, size_px: int, device: torch.device, frames: int = 200
) -> float:
    """New poses of one look, from its cached canonical Gaussians."""
    avatar = load_avatar(workspace.path / "avatar").eval().to(device)
    camera = avatar.card.camera.resized(size_px, size_px).to(device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    with torch.no_grad():
        canonical = avatar.canonicalise(avatar.subject_codes()[1])
        motion = avatar.skeleton(_rest(avatar.skeleton.n_expression, len(avatar.card.joint_names)).to(device))
        for number in range(frames + 10):
            if number == 10:
                wait()
                begin = time.perf_counter()
            rasterize(avatar.pose(canonical, motion), camera, rasterizer=wanted.rasterizer)
        wait()
    return frames / (time.perf_counter() - begin)


def _rest(expressions: int, joints: int) -> HeadParameters:
    return HeadParameters(
        torch.zeros(0), torch.zeros(0, 3), torch.zeros(1, expressions), 0.1 * torch.ones(1, joints, 3)
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    options.add_argument("what", choices=["prepare", "run"])
    options.add_argument("--workspace", type=Path, default=Path("runs/gpu"))
    options.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: a rehearsal, small")
    options.add_argument("--steps", type=int, help=f"of stage 1, the same for both; {STEPS}, or {REHEARSED_STEPS}")
    options.add_argument("--precision", choices=PRECISIONS, default="bf16", help="of the networks on a GPU")
    chosen = options.parse_args()
    if chosen.steps is not None and chosen.steps < 1:
        options.error("--steps must be 1 or more")
    if chosen.device == "cpu":
        wanted = rehearsal(chosen.steps or REHEARSED_STEPS)
    else:
        wanted = recipe(chosen.steps or STEPS, chosen.precision)
    if chosen.what == "prepare":
        prepare(Workspace.open(chosen.workspace), wanted)
    elif chosen.device == "cuda" and not torch.cuda.is_available():
        print("benchmarks.gpu_build: no CUDA device here, so nothing was run; --device cpu rehearses it")
    else:
        run(Workspace.open(chosen.workspace), wanted, torch.device(chosen.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
