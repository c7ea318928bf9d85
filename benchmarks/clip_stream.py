"""How quickly are frames decoded that do not fit into memory, and does a training step ever wait for them?

    python -m benchmarks.clip_stream [--subjects 12] [--frames 64] [--size-px 512]

Clips of a photograph on white are written as the pipeline writes them, then read in random order through
`perse.data.frame_stream`, which keeps a tenth of them decoded: frames a second by number of decoding threads; and a
stand-in step that sleeps, with its frames announced as the trainer announces them and without.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
import torch

from benchmarks.timing import machine
from perse.data import PortraitClip, archive
from perse.data.frame_stream import MIB, FrameStream
from perse.data.workspace import Workspace
from perse.geometry import Camera
from perse.head import HeadParameters
from perse.training import ClipStore

THREADS = (1, 2, 4)
STEPS_MS = (500, 100, 50)
FRAMES_PER_STEP = 4
ANNOUNCED_STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--size-px", type=int, default=512)
    chosen = parser.parse_args()
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.open(Path(folder) / "w")
        keys = [str(number) for number in range(chosen.subjects)]
        for key in keys:
            archive.save_clip(workspace, key, photographed(key, chosen.frames, chosen.size_px))
        stored = sum(path.stat().st_size for path in (workspace.path / "clips").iterdir()) / MIB
        decoded = chosen.subjects * chosen.frames * chosen.size_px**2 * 5 / MIB
        print(f"{chosen.subjects} × {chosen.frames} frames of {chosen.size_px} px: {stored:.0f} MiB in the files, "
              f"{decoded:.0f} MiB decoded, {decoded / 10:.0f} MiB kept\n")  # fmt: skip
        print("| decoding threads | frames/s | peak of new memory, MiB |\n|---|---|---|")
        for threads in THREADS:
            rate, peak = throughput(workspace, keys, decoded / 10, threads)
            print(f"| {threads} | {rate:.0f} | {peak:.0f} |")
        print("\n| step, ms | frames/s it needs | waits, ms | waits when announced, ms |\n|---|---|---|---|")
        for step_ms in STEPS_MS:
            waits = [waiting_ms(workspace, keys, decoded / 10, step_ms, ahead) for ahead in (0, ANNOUNCED_STEPS)]
            print(f"| {step_ms} | {FRAMES_PER_STEP / step_ms * 1000:.0f} | {waits[0]:.1f} | {waits[1]:.1f} |")


def photographed(key: str, frames: int, size_px: int) -> PortraitClip:
    """A photograph on white that moves a little, with a soft silhouette and a part map."""
    picture = torch.from_numpy(skimage.data.astronaut()).movedim(-1, 0)[None].float()
    picture = torch.nn.functional.interpolate(picture, (size_px, size_px), mode="bilinear")[0].movedim(0, -1).numpy()
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    inside = np.clip((0.42 - np.hypot(rows - 0.5, 1.3 * (columns - 0.5))) * 40, 0, 1)[..., None]
    still = (inside * picture + (1 - inside) * 255).astype(np.uint8)
    alpha = (inside[..., 0] * 255).astype(np.uint8)
    parts = np.where(inside[..., 0] > 0.5, 1 + (6 * rows).astype(np.uint8), 0).astype(np.uint8)
    shifts = [(int(number) % 7, int(number) % 11) for number in range(frames)]

    def moved(one: np.ndarray) -> np.ndarray:
        return np.stack([np.roll(one, shift, (0, 1)) for shift in shifts])

    motion = HeadParameters(torch.zeros(10), torch.zeros(5000, 3), torch.zeros(frames, 50), torch.zeros(frames, 5, 3))
    camera = Camera(torch.eye(4), torch.eye(3), size_px, size_px)
    numbers = np.arange(frames, dtype=np.int32)
    return PortraitClip(key, numbers, moved(still), moved(alpha), moved(parts), motion, camera)


def streamed(workspace: Workspace, keys: list[str], kept_mib: float, threads: int) -> ClipStore:
    """The clips, nothing decoded yet."""
    stream = FrameStream(round(kept_mib * MIB), decoders=threads)
    return ClipStore([stream.clip(archive.open_clip(workspace, key)) for key in keys])


def steps(store: ClipStore, count: int) -> Iterator[tuple[list[int], list[int]]]:
    """Subjects and frames of steps, drawn at random."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        subjects, frames = (rng.integers(0, n, FRAMES_PER_STEP).tolist() for n in (store.n_subjects, store.n_frames))
        yield subjects, frames


def throughput(workspace: Workspace, keys: list[str], kept_mib: float, threads: int) -> tuple[float, float]:
    """Frames a second when the frames of the next steps are always announced; and the peak of memory, MiB."""
    count = 100
    rates = []
    for traced in (False, True):  # tracing slows everything down, so the two are measured apart
        store = streamed(workspace, keys, kept_mib, threads)
        wanted = list(steps(store, count))
        if traced:
            tracemalloc.start()
        begin = time.perf_counter()
        for number, batch in enumerate(wanted):
            for later in wanted[number : number + 1 + ANNOUNCED_STEPS]:
                store.expect(*later)
            store.batch(*batch)
        rates.append(count * FRAMES_PER_STEP / (time.perf_counter() - begin))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return rates[0], peak / MIB


def waiting_ms(workspace: Workspace, keys: list[str], kept_mib: float, step_ms: float, ahead: int) -> float:
    """Mean milliseconds that a step of a given length stands still for its frames, after the first few."""
    store = streamed(workspace, keys, kept_mib, THREADS[-1])
    wanted = list(steps(store, 30))
    waits = []
    for number, batch in enumerate(wanted):
        for later in wanted[number : number + 1 + ahead] if ahead else ():
            store.expect(*later)
        begin = time.perf_counter()
        store.batch(*batch)
        waits.append(time.perf_counter() - begin)
        time.sleep(step_ms / 1000)
    return 1000 * float(np.mean(waits[5:]))


if __name__ == "__main__":
    main()
