"""An avatar with the paper's networks on one GPU, in minutes: the way that a user goes, with fewer subjects.

    python -m benchmarks.gpu_build prepare --workspace runs/gpu      edits and clips, on any machine, no GPU
    python -m benchmarks.gpu_build run --workspace runs/gpu          the rest of the same build, on a machine with a GPU
    perse render turntable --workspace runs/gpu --out gpu.mp4

Recipe: procedural editor and animator at 512 px, the `networks` decoder, 130,000 Gaussians on gsplat, stage 1, stage 2
with the warping teacher, both evaluations, report. What `run` prints at its end: images a second in training, frames a
second at 512² and 1024², the largest memory, and the GPU-hours that an identity of the paper would take at that pace.
Without a CUDA device `run` says so and does nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import skimage.data
import torch

from perse.avatar import AvatarConfig, LatentConfig, NetworksConfig, load_avatar
from perse.data.workspace import Workspace
from perse.recipes import Recipe, recipe_named
from perse.recipes.filming import Filming
from perse.recipes.resources import WorkerPool
from perse.render import GsplatRasterizer, rasterize
from perse_ray.build.build import build
from perse_ray.build.components import studio_of
from perse_ray.build.request import BuildRequest
from perse_ray.build.run import BuildRun
from perse_ray.build.stages import Synthesize, Track
from perse_ray.registry.mlflow_log import BuildLog

PAPER_IMAGES = 50_000 * 8 * 4 + 4_785 * 8 * 8
"""Of both stages of the recipe `paper`."""


def recipe(steps: int = 600, precision: str = "bf16") -> Recipe:
    """The paper's numbers with the laptop's synthesis, on one GPU."""
    paper, laptop = recipe_named("paper"), recipe_named("laptop")
    gpu = WorkerPool(gpus=1, cpus=4, threads=4, time_limit_s=1800)
    decoder = NetworksConfig(precision=precision, compile=precision == "bf16")  # type: ignore[arg-type]
    training = replace(paper.training, steps=steps, losses=replace(paper.training.losses, vgg_checkpoint=None))
    assert paper.finetuning is not None
    tuning = replace(paper.finetuning, training=replace(paper.finetuning.training, steps=40, losses=training.losses))
    return replace(
        laptop,
        name="gpu-build",
        filming=Filming(stride=16, size_px=512),
        avatar=AvatarConfig(latents=LatentConfig(), decoder=decoder),
        training=training,
        finetuning=tuning,
        rasterizer=GsplatRasterizer(),
        cluster=replace(laptop.cluster, train_workers=1, train=gpu, evaluate=replace(gpu, workers=(1, 1)), report=gpu),
    )


def prepare(workspace: Workspace) -> None:
    """Edits and clips, which need no GPU; `run` finds them."""
    from contextlib import ExitStack

    request = BuildRequest(recipe=recipe(), photograph=skimage.data.astronaut(), workspace=workspace)
    with ExitStack() as held, BuildLog.open(workspace, "gpu-build").recorded() as log:
        run = BuildRun(request, held, log)
        run.do(Track())
        run.do(Synthesize())
    assert studio_of(request.recipe) == run.studio


def run(workspace: Workspace, steps: int) -> None:
    """The rest of the build, and the paces."""
    begin = time.perf_counter()
    done = build(BuildRequest(recipe=recipe(steps), photograph=skimage.data.astronaut(), workspace=workspace))
    seconds = done.metrics["seconds"]
    images = steps * (recipe().training.edits_per_step + 1)
    rate = images / seconds["train"]
    print(f"\n{torch.cuda.get_device_name()}, bf16 and compiled, {done.metrics['n_gaussians']:,} Gaussians at 512²")
    print(f"training     {rate:.1f} images/s over all of stage 1, start and growth included")
    print(
        f"an identity  {PAPER_IMAGES / rate / 3600:.1f} GPU-hours for the paper's {PAPER_IMAGES:,} images at that pace"
    )
    print(f"unseen poses {done.metrics['psnr']:.2f} dB; the whole build {time.perf_counter() - begin:.0f} s")
    for size_px in (512, 1024):
        print(f"rendering    {frames_per_second(workspace, size_px):.0f} frames/s at {size_px}²")
    print(f"memory       {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most while rendering")


def frames_per_second(workspace: Workspace, size_px: int, frames: int = 200) -> float:
    """New poses of one look, from its cached canonical Gaussians."""
    avatar = load_avatar(workspace.path / "avatar").eval().to("cuda")
    camera = avatar.card.camera.resized(size_px, size_px).to("cuda")
    with torch.no_grad():
        canonical = avatar.canonicalise(avatar.subject_codes()[1])
        motion = avatar.skeleton(_rest(avatar.skeleton.n_expression, len(avatar.card.joint_names)))
        for number in range(frames + 10):
            if number == 10:
                torch.cuda.synchronize()
                begin = time.perf_counter()
            rasterize(avatar.pose(canonical, motion), camera, rasterizer=GsplatRasterizer())
        torch.cuda.synchronize()
    return frames / (time.perf_counter() - begin)


def _rest(expressions: int, joints: int):  # type: ignore[no-untyped-def]
    from perse.head import HeadParameters

    return HeadParameters(
        torch.zeros(0), torch.zeros(0, 3), torch.zeros(1, expressions), 0.1 * torch.ones(1, joints, 3)
    ).to("cuda")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    options.add_argument("what", choices=["prepare", "run"])
    options.add_argument("--workspace", type=Path, default=Path("runs/gpu"))
    options.add_argument("--steps", type=int, default=600, help="of stage 1")
    chosen = options.parse_args()
    if chosen.what == "prepare":
        prepare(Workspace.open(chosen.workspace))
    elif not torch.cuda.is_available():
        print("benchmarks.gpu_build: no CUDA device here, so nothing was run")
    else:
        run(Workspace.open(chosen.workspace), chosen.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
