"""How fast a video of a face is tracked, and how well: a film whose motion is known, tracked again.

    python -m benchmarks.video_tracking [--quick]

The tracked sample portrait performs every second of 193 frames of the built-in motion (head turns of ± 40°, nods of
± 20°), drawn by the procedural animator at 384 px and 12.5 frames a second: a rendered film, no real video. Printed
are frames a second and processor time by step, then what comes back of the motion. Times are of what `perse track`
does, without the command's start. On a busy machine only those of the processor say something.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.command import parser
from benchmarks.timing import machine
from perse.data.photograph import read_photograph
from perse.export.video import mp4_bytes
from perse.geometry import axis_angle_to_matrix
from perse.head import HeadModel, HeadParameters, Joint
from perse.head.embedded import embedded_head
from perse.synthesis.motion import load_motion
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.seams import Shot
from perse.tracking import MediapipeTrackerConfig
from perse.tracking.video_file import open_video
from perse.tracking.video_tracker import TrackedVideo, VideoTracker, VideoTrackerConfig

FRAMES, STEP, SIZE_PX, FPS = 193, 2, 384, 12.5
ACTIONS = (
    "mouthPucker", "mouthFunnel", "mouthSmileLeft", "mouthSmileRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "eyeBlinkLeft", "eyeBlinkRight",
)  # fmt: skip

Floats = NDArray[np.float64]


class StepStopwatch:
    """Wall-clock and processor seconds of each step that the tracker names."""

    def __init__(self) -> None:
        self.steps: dict[str, tuple[float, float]] = {}
        self._name, self._since = "start", (time.perf_counter(), time.process_time())

    def started(self, name: str, total: int) -> Callable[[], None]:
        """The tracker begins another step."""
        now = (time.perf_counter(), time.process_time())
        self.steps[self._name] = (now[0] - self._since[0], now[1] - self._since[1])
        self._name, self._since = name, now
        return lambda: None


def film(model: HeadModel, path: Path, frames: range) -> HeadParameters:
    """Film the sample portrait; returns what it performs."""
    portrait = MediapipeTrackerConfig().build(model).track(read_photograph(None))
    performed = load_motion(model).frame(slice(frames.start, frames.stop, frames.step))
    shot = Shot(np.array(frames, np.int32), performed, SIZE_PX)
    images = ProceduralAnimatorConfig().build(model).animate(portrait, None, shot).images
    path.write_bytes(mp4_bytes(list(images), FPS))
    return performed


def compared(tracked: HeadParameters, performed: HeadParameters, model: HeadModel) -> list[str]:
    """Lines of a Markdown table: what came back of a motion."""
    between = axis_angle_to_matrix(tracked.pose[:, Joint.NECK]).mT @ axis_angle_to_matrix(performed.pose[:, Joint.NECK])
    trace = between.diagonal(dim1=-2, dim2=-1).sum(-1)
    off = torch.rad2deg(((trace - 1) / 2).clamp(-1, 1).acos()).numpy()
    lines = [
        f"| head rotation, degrees off | median {np.median(off):.2f}, 95th percentile {np.quantile(off, 0.95):.2f} |"
    ]
    names = model.expression_names
    curves = {
        axis: (tracked.pose[:, Joint.NECK, k], performed.pose[:, Joint.NECK, k])
        for k, axis in enumerate(("nod", "turn", "tilt"))
    }
    curves["jaw"] = tracked.pose[:, Joint.JAW, 0], performed.pose[:, Joint.JAW, 0]
    for action in ACTIONS:
        k = names.index(action)
        curves[action] = tracked.expression[:, k], performed.expression[:, k]
    for name, (found, true) in curves.items():
        lines.append(f"| {name} | {_agreement(found.double().numpy(), true.double().numpy())} |")
    awake = performed.expression[:, names.index("eyeBlinkLeft")] < 0.3
    gaze = torch.rad2deg(tracked.pose[awake, Joint.LEFT_EYE] - performed.pose[awake, Joint.LEFT_EYE])
    nod, turn = (float(gaze[:, k].square().mean().sqrt()) for k in (0, 1))
    return [*lines, f"| gaze, degrees r.m.s., eyes open | nod {nod:.2f}, turn {turn:.2f} |"]


def _agreement(found: Floats, true: Floats) -> str:
    if np.ptp(true) < 1e-6 or np.ptp(found) < 1e-6:
        return "does not move"
    return f"correlation {np.corrcoef(found, true)[0, 1]:.3f}, slope {np.polyfit(true, found, 1)[0]:.2f}"


def measure(folder: Path, frames: range) -> tuple[TrackedVideo, StepStopwatch, list[str]]:
    """Film, track, compare."""
    model = embedded_head()
    path = folder / "film.mp4"
    performed = film(model, path, frames)
    watch = StepStopwatch()
    tracked = VideoTracker(VideoTrackerConfig(), model).track(open_video(path), started=watch.started)
    watch.started("end", 0)
    return tracked, watch, compared(tracked.head, performed, model)


def main() -> None:
    options = parser(
        __doc__, quick="every eighth frame instead of every second: for a look, not for numbers"
    ).parse_args()
    frames = range(0, FRAMES, 8 if options.quick else STEP)
    with tempfile.TemporaryDirectory() as folder:
        tracked, watch, lines = measure(Path(folder), frames)
    wall, cpu = (sum(step[k] for step in watch.steps.values()) for k in (0, 1))
    count = len(tracked.seen)
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    print(
        f"\n{count} frames of {SIZE_PX} px: {count / wall:.1f} a second, {count / cpu:.1f} a second of processor time\n"
    )
    print("| step | s | s of processor time |\n|---|---|---|")
    for name, (seconds, own) in watch.steps.items():
        print(f"| {name} | {seconds:.2f} | {own:.2f} |")
    print("\n| against the truth | |\n|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
