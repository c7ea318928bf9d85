"""How fast a face before a camera is followed, and how well: a film whose motion is known, picture by picture.

    python -m benchmarks.live_tracking [--quick]

The tracked sample portrait rests for a second and then performs 193 frames of the built-in motion, drawn by the
procedural animator at 192 px: a rendered film, no real camera. Printed are the processor time of a picture, what comes
back of the motion, and how late it is. What a browser and the service add: `docs/service.md`.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.command import parser
from benchmarks.timing import machine
from benchmarks.video_tracking import FRAMES, compared
from perse.data.photograph import read_photograph
from perse.head import HeadModel, HeadParameters, Joint
from perse.head.embedded import embedded_head
from perse.synthesis.motion import load_motion
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.seams import Shot
from perse.tracking import MediapipeTrackerConfig
from perse.tracking.live import LiveTracker, LiveTrackerConfig

SIZE_PX, FPS, RESTING = 192, 25.0, 30
SOONEST, LATEST, FINENESS = -2.0, 6.0, 0.1
"""Lags that are tried, frames."""


def film(model: HeadModel, frames: int) -> tuple[NDArray[np.uint8], HeadParameters]:
    """Pictures [f, 192, 192, 3], and what they show."""
    motion = load_motion(model).frame(slice(0, frames))

    def after_rest(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values.new_zeros(RESTING, *values.shape[1:]), values])

    shown = HeadParameters(motion.betas, motion.vertex_offsets, after_rest(motion.expression), after_rest(motion.pose))
    portrait = MediapipeTrackerConfig().build(model).track(read_photograph(None))
    shot = Shot(np.arange(len(shown), dtype=np.int32), shown, SIZE_PX)
    return ProceduralAnimatorConfig().build(model).animate(portrait, None, shot).images, shown


def lag_frames(found: torch.Tensor, true: torch.Tensor) -> float:
    """By how many frames a curve has to be brought forward to agree best."""
    a, b, places = found.double().numpy(), true.double().numpy(), np.arange(len(found))
    inner = slice(8, -8)
    tried = np.arange(SOONEST, LATEST, FINENESS)
    agreement = [np.corrcoef(np.interp(places[inner] + lag, places, a), b[inner])[0, 1] for lag in tried]
    return float(tried[int(np.argmax(agreement))])


def main() -> None:
    options = parser(__doc__, quick="40 frames after rest: for a look, not for numbers").parse_args()
    model = embedded_head()
    pictures, shown = film(model, 40 if options.quick else FRAMES)
    tracker = LiveTracker(LiveTrackerConfig(), model)
    took: list[float] = []
    found: dict[int, HeadParameters] = {}
    for number, picture in enumerate(pictures):
        began = time.process_time()
        frame = tracker.see(picture, number / FPS)
        took.append(1000 * (time.process_time() - began))
        if frame.motion is not None:
            found[number] = frame.motion.parameters(model.expression_names, model.joint_names)
    followed = list(found)
    head = HeadParameters(
        shown.betas, shown.vertex_offsets,
        torch.cat([one.expression for one in found.values()]), torch.cat([one.pose for one in found.values()]),
    )  # fmt: skip
    true = HeadParameters(shown.betas, shown.vertex_offsets, shown.expression[followed], shown.pose[followed])
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    usual = np.array([took[number] for number in followed[5:]])
    print(
        f"\n{len(followed)} of {len(pictures)} pictures followed; ms of processor time a picture: median "
        f"{np.median(usual):.1f}, 95th percentile {np.quantile(usual, 0.95):.1f}, once {max(took):.0f}\n"
    )
    print("| against the truth | |\n|---|---|")
    print("\n".join(compared(head, true, model)))
    blink = model.expression_names.index("eyeBlinkLeft")
    for name, one, other in (
        ("turn", head.pose[:, Joint.NECK, 1], true.pose[:, Joint.NECK, 1]),
        ("nod", head.pose[:, Joint.NECK, 0], true.pose[:, Joint.NECK, 0]),
        ("jaw", head.pose[:, Joint.JAW, 0], true.pose[:, Joint.JAW, 0]),
        ("blink", head.expression[:, blink], true.expression[:, blink]),
    ):
        print(f"| {name}, late by | {1000 * lag_frames(one, other) / FPS:.0f} ms |")


if __name__ == "__main__":
    main()
