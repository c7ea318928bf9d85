"""What balanced sampling and geometry weights are good for: `python -m benchmarks.body_ablation`.

The sample person is fitted once and filmed by the procedural animator with *drift*: a tint, details that give way to
plain colours, frames that stand a little beside where they should. A rendering keeps an identity by construction and
would show nothing; a diffusion model does not. So this measures the two ideas against imitated faults, not against a
diffusion model's, and says so.

Three trainings on the same frames: the method, without balanced sampling (the captured frame is one of many), and
without geometry weights (the image decides everywhere). Printed: distance of dlib's descriptors between the photograph
and the avatar in its pose, mask IoU and sharpness on held-out frames of the clean animator. Pictures lie beside.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from perse.body.animation.animator import Drift, ProceduralBodyAnimatorConfig
from perse.body.animation.clip import BodyClip
from perse.body.animation.motions import Filmed
from perse.body.avatar import BodyAvatar, OffsetConfig, start_avatar
from perse.body.fitting.config import PersonFitConfig
from perse.body.fitting.person import FittedPerson, fit_person
from perse.body.fitting.storage import first_colors
from perse.body.model import AnnyBody
from perse.body.sample import sample_photograph
from perse.body.showing.drawing import close_ups, draw, picture, sheet
from perse.body.showing.measuring import FrameScores, held_out, identity_distance, score_frames, trained_on
from perse.body.training import BodyTrainer, BodyTrainingConfig, captured_clip, captured_patches
from perse.body.training.config import unweighted
from perse.body.training.frames import TargetFrame, frame_of
from perse.data.images import encode_image
from perse.render import CpuRasterizer
from perse.shapes import Picture

DRIFT = Drift(tint=(0.06, -0.05, -0.04), face_blur_px=2.5, flatten=0.45, sway_m=0.012)
EVERY = 5
CLOSE_PX = 256


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """How large an ablation."""

    output: Path = Path("runs/ablation")
    """Folder for pictures and numbers."""
    frames: int = 10
    """Of each of the motions; every fifth is only measured."""
    motions: tuple[str, ...] = ("turn", "walk", "dance")
    """Which."""
    size_px: int = 192
    """Side of a frame."""
    epochs: int = 5
    """Of each training."""
    longest_edge_m: float = 0.02
    """Of the surface."""


@dataclass(frozen=True)
class AblationRow:
    """One training's outcome."""

    name: str
    identity: float | None
    scores: FrameScores
    steps: int
    seconds: float


def main(arguments: Arguments) -> None:
    """Fit, film, train three times, print and draw."""
    torch.set_num_threads(1)
    person = fit_person(sample_photograph(), AnnyBody(), PersonFitConfig(longest_edge_m=arguments.longest_edge_m))
    drifting, clean = (
        [
            config.build().film(person.dressed, Filmed(name, arguments.frames), arguments.size_px)
            for name in arguments.motions
        ]
        for config in (ProceduralBodyAnimatorConfig(drift=DRIFT), ProceduralBodyAnimatorConfig())
    )
    tests = [frame for clip in clean for frame in held_out(clip, EVERY)]
    base = BodyTrainingConfig(epochs=arguments.epochs)
    trainings = {
        "the method": base,
        "without balanced sampling": replace(base, balanced=False),
        "without geometry weights": replace(base, losses=unweighted()),
    }
    rows, pictures = [], []
    for name, config in trainings.items():
        row, avatar, captured = _trained(name, config, person, drifting, tests, arguments)
        rows.append(row)
        pictures.append(_shown(avatar, person, tests, captured))
        print(_line(row), flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "ablation.png").write_bytes(encode_image(np.concatenate([_top(person, tests), *pictures])))
    numbers = [{**asdict(row), "drift": asdict(DRIFT)} for row in rows]
    (arguments.output / "ablation.json").write_text(json.dumps(numbers, indent=1))


def _trained(
    name: str,
    config: BodyTrainingConfig,
    person: FittedPerson,
    clips: list[BodyClip],
    tests: list[TargetFrame],
    arguments: Arguments,
) -> tuple[AblationRow, BodyAvatar, TargetFrame]:
    rasterizer = CpuRasterizer()
    captured = frame_of(captured_clip(person, 2 * arguments.size_px), 0, generated=False)
    avatar = start_avatar(person.dressed, first_colors(person), OffsetConfig(), 0)
    trainer = BodyTrainer(
        avatar,
        captured,
        [frame for clip in clips for frame in trained_on(clip, EVERY)],
        config,
        rasterizer=rasterizer,
        patches=[frame_of(clip, 0, generated=False) for clip in captured_patches(person, 128)],
    )
    begin = time.perf_counter()
    while trainer.step_number < trainer.steps:
        trainer.step()
    seconds = time.perf_counter() - begin
    large = frame_of(captured_clip(person, 768), 0, generated=False)
    distance = identity_distance(trainer.avatar, large, rasterizer)
    return (
        AblationRow(name, distance, score_frames(trainer.avatar, tests, rasterizer), trainer.steps, seconds),
        trainer.avatar,
        captured,
    )


def _shown(avatar: BodyAvatar, person: FittedPerson, tests: list[TargetFrame], captured: TargetFrame) -> Picture:
    """The face, and two unseen poses."""
    rasterizer = CpuRasterizer()
    face = close_ups(avatar, person.dressed, CLOSE_PX, rasterizer)["face"]
    drawn = [
        picture(draw(avatar, one.pose, one.translation, one.camera.resized(CLOSE_PX, CLOSE_PX), rasterizer))
        for one in (tests[-1], tests[-2])
    ]
    return sheet([[face, *drawn]])


def _top(person: FittedPerson, tests: list[TargetFrame]) -> Picture:
    """The photograph's face and the clean frames of those poses."""
    import cv2

    patch = captured_patches(person, CLOSE_PX)[0].image[0]
    targets = [np.round(255 * one.image.numpy()).astype(np.uint8) for one in (tests[-1], tests[-2])]
    return sheet([[patch, *(np.asarray(cv2.resize(one, (CLOSE_PX, CLOSE_PX)), np.uint8) for one in targets)]])


def _line(row: AblationRow) -> str:
    scores, identity = row.scores, "–" if row.identity is None else f"{row.identity:.3f}"
    return (
        f"{row.name:26} identity distance {identity}  mask IoU {scores.mask_iou:.4f}  "
        f"sharpness {scores.sharpness:.3f}  PSNR {scores.psnr:.2f} dB  ({row.steps} steps, {row.seconds:.0f} s)"
    )


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
