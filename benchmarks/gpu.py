"""Everything that is measured on an accelerator, in one command.

    python -m benchmarks.gpu [--quick] [--json FILE]

Runs the contract tests that are marked `cuda`, then measures rendering of a 130,000-Gaussian avatar of the `networks`
decoder in the paper's sizes, with and without the canonical cache, and its training step against the naïve evaluation:
frames a second, memory, and where the time goes. Without a CUDA device it says so and does nothing.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import torch

from benchmarks.command import parser, report
from benchmarks.imaginary import imaginary_avatar, imaginary_clips
from benchmarks.naive_step import naive_loss
from benchmarks.timing import Row, interleaved, machine, ratio
from benchmarks.train_step import batch
from perse.avatar import LatentConfig, NetworksConfig
from perse.head import HeadParameters
from perse.render import GsplatRasterizer, rasterize
from perse.training import Trainer, TrainingConfig

CONTRACT_TESTS = [sys.executable, "-m", "pytest", "-m", "cuda", "tests/render"]
POINTS, QUICK_POINTS = 130_000, 20_000
NAIVE = "naïve"
ARITHMETICS = {
    "float32": NetworksConfig(),
    "tf32": NetworksConfig(precision="tf32"),
    "bf16": NetworksConfig(precision="bf16"),
    "bf16, compiled": NetworksConfig(precision="bf16", compile=True),
}


def finished(work: Callable[[], object]) -> Callable[[], None]:
    """The work, waiting for the device to be done with it."""

    def run() -> None:
        work()
        torch.cuda.synchronize()

    return run


def rendering(points: int, sizes: tuple[int, ...], rounds: int) -> list[Row]:
    """A frame in a new pose: from the cached canonical Gaussians, and from the latent code."""
    avatar = imaginary_avatar(NetworksConfig(), points=points, subjects=10, latents=LatentConfig()).to("cuda").eval()
    code = avatar.subject_codes()[1].detach()
    parameters = HeadParameters(
        torch.zeros(0), torch.zeros(0, 3), 0.2 * torch.ones(1, avatar.skeleton.n_expression),
        0.1 * torch.ones(1, len(avatar.skeleton.parents), 3),
    )  # fmt: skip
    rows = []
    with torch.no_grad():
        canonical = avatar.canonicalise(code)
        for size_px in sizes:
            camera = avatar.card.camera.resized(size_px, size_px).to("cuda")

            def frame(canonical=canonical, camera=camera):  # type: ignore[no-untyped-def]
                return rasterize(avatar.pose(canonical, parameters), camera, rasterizer=GsplatRasterizer())

            posed = avatar.pose(canonical, parameters)
            runs = {
                "cached": finished(frame),
                "not cached": finished(lambda camera=camera: frame(avatar.canonicalise(code), camera)),
                "rasterize only": finished(
                    lambda posed=posed, camera=camera: rasterize(posed, camera, rasterizer=GsplatRasterizer())
                ),
            }
            times = interleaved(runs, rounds=rounds, seconds=5.0)
            rates = {f"frames/s, {name}": 1000 / value for name, value in times.items() if value}
            rows.append(Row("Rendering", f"{points:,} at {size_px}²", times, rates))
    return rows


def training(points: int, size_px: int, rounds: int) -> list[Row]:
    """Loss and gradients of four subjects, one frame each, in every arithmetic, and naïvely in float32."""
    runs: dict[str, Callable[[], object]] = {}
    memory: dict[str, float | None] = {}
    sample, truth = batch(4, 1), None
    for name, decoder in {**ARITHMETICS, NAIVE: NetworksConfig()}.items():
        held = torch.cuda.memory_allocated()
        avatar = imaginary_avatar(decoder, points=points, subjects=10, size_px=size_px)
        truth = truth or imaginary_clips(avatar, frames=4)
        config = TrainingConfig(pose_networks_from=0.0)
        trainer = Trainer(avatar, truth, config, rasterizer=GsplatRasterizer(), device=torch.device("cuda"))
        work = _naive_step(trainer) if name == NAIVE else lambda trainer=trainer: trainer.gradients(sample)
        memory[name] = _peak_mib(finished(work), held)
        if memory[name] is not None:
            runs[name] = finished(work)
    times = interleaved(runs, rounds=rounds, seconds=20.0)
    faster = {f"{name}, faster than naïve": ratio(times, NAIVE, name) for name in ARITHMETICS}
    case = f"paper's networks, {points:,} at {size_px}², 4 frames"
    return [
        Row("Loss and gradients of a step", case, times, {name: x for name, x in faster.items() if x is not None}),
        Row("Peak memory, MiB instead of ms; none where it did not fit", case, memory),
    ]


def _peak_mib(work: Callable[[], None], held: int) -> float | None:
    """Memory of one run beyond what others held before, or None if there was not enough."""
    torch.cuda.reset_peak_memory_stats()
    try:
        work()
    except torch.OutOfMemoryError:
        return None
    return (torch.cuda.max_memory_allocated() - held) / 2**20


def _naive_step(trainer: Trainer) -> Callable[[], None]:
    def run() -> None:
        trainer.zero_gradients()
        losses = trainer.config.losses
        # Backward frame by frame would save memory; one graph for all is what a straightforward step does.
        naive_loss(trainer.avatar, trainer.clips, batch(4, 1), losses, rasterizer=GsplatRasterizer()).backward()

    return run


def profile(points: int, size_px: int) -> str:
    """The kernels that take longest in a training step."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    avatar = imaginary_avatar(NetworksConfig(), points=points, subjects=10, size_px=size_px)
    clips = imaginary_clips(avatar, frames=4)
    trainer = Trainer(avatar, clips, TrainingConfig(), rasterizer=GsplatRasterizer(), device=torch.device("cuda"))
    trainer.step()
    with record(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
        finished(trainer.step)()
    return str(recorded.key_averages().table(sort_by="self_cuda_time_total", row_limit=15))


def main() -> int:
    arguments = parser(__doc__, quick="fewer Gaussians, few rounds").parse_args()
    if not torch.cuda.is_available():
        print(
            "benchmarks.gpu: no CUDA device here, so nothing was run. On a machine with one: "
            "pip install gsplat==1.5.3, then this command again."
        )
        return 0
    print(machine()["gpu"])
    code = subprocess.run(CONTRACT_TESTS, check=False).returncode
    points, rounds = (QUICK_POINTS, 5) if arguments.quick else (POINTS, 20)
    rows = rendering(points, (512, 768), rounds) + training(points, 512, max(3, rounds // 4))
    report(rows, arguments.json)
    print(profile(points, 512))
    return code


if __name__ == "__main__":
    sys.exit(main())
