"""The report of a body avatar: videos, close-ups, comparisons and numbers, in the workspace's report folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from perse.body.animation.animator import studio_camera
from perse.body.avatar import BodyAvatar
from perse.body.fitting.person import FittedPerson
from perse.body.showing.all_around import compared_around, score_all_around
from perse.body.showing.drawing import close_ups, draw, motion, picture, sheet, turntable
from perse.body.showing.measuring import frames_per_second, identity_distance, score_frames
from perse.body.training import captured_clip
from perse.body.training.frames import TargetFrame, frame_of
from perse.data.images import encode_image
from perse.data.workspace import Workspace
from perse.export.video import mp4_bytes
from perse.render import Rasterizer
from perse.shapes import Picture

SHOWN_MOTIONS = ("wave", "walk", "dance")
FPS = 20.0
ON_SHEET = 6
CLOSE_UP_PX, ALL_AROUND_PX = 384, 256
IDENTITY_PX = 1024
"""Side of the window whose face is recognised: about the photograph's own resolution. At the 384 px of training a face
of a whole person is 25 px wide, and a descriptor says more about that than about who it is."""


class ReportNumbers(Protocol):
    """Numbers of a recipe for the report."""

    @property
    def rasterizer(self) -> Rasterizer: ...
    @property
    def shown_px(self) -> int: ...
    @property
    def shown_frames(self) -> int: ...


def write_report(
    workspace: Workspace,
    avatar: BodyAvatar,
    person: FittedPerson,
    captured: TargetFrame,
    seen: Sequence[TargetFrame],
    unseen: Sequence[TargetFrame],
    numbers: ReportNumbers,
) -> tuple[list[str], dict[str, Any]]:
    """Fill report/; the files that were written, and what was measured.

    Args:
        seen: frames of trained motions that training left out.
        unseen: frames of motions that nobody trained on.
    """
    rasterizer, size = numbers.rasterizer, numbers.shown_px
    camera = studio_camera(person.dressed, size)
    films = {"turntable": list(turntable(avatar, person.dressed, camera, numbers.shown_frames, rasterizer))}
    for name in SHOWN_MOTIONS:
        films[name] = list(motion(avatar, person.dressed, name, camera, numbers.shown_frames, rasterizer))
    files = []

    def put(name: str, content: bytes) -> None:
        workspace.write(f"report/{name}", content)
        files.append(f"report/{name}")

    for name, frames in films.items():
        put(f"{name}.mp4", mp4_bytes(frames, FPS))
    put("motions.png", encode_image(sheet([_spread(frames) for frames in films.values()])))
    shots = close_ups(avatar, person.dressed, min(CLOSE_UP_PX, 2 * size), rasterizer)
    put("close_ups.png", encode_image(sheet([list(shots.values())])))
    put("captured.png", encode_image(sheet([[_target(captured), _drawn(avatar, captured, rasterizer)]])))
    compared = list(unseen)[:: max(1, len(unseen) // ON_SHEET)][:ON_SHEET]
    rows = [[_target(one) for one in compared], [_drawn(avatar, one, rasterizer) for one in compared]]
    put("unseen.png", encode_image(sheet(rows)))
    put("all_around.png", encode_image(sheet(compared_around(avatar, person.dressed, ALL_AROUND_PX, rasterizer))))
    closer = frame_of(captured_clip(person, IDENTITY_PX), 0, generated=False)
    distance = identity_distance(avatar, closer, rasterizer)
    metrics = {
        "held_out_frames": asdict(score_frames(avatar, seen, rasterizer)),
        "unseen_motion": asdict(score_frames(avatar, unseen, rasterizer)),
        "captured": asdict(score_frames(avatar, [captured], rasterizer)),
        "all_around": asdict(score_all_around(avatar, person.dressed, [captured, *seen], rasterizer)),
        "frames_per_second": frames_per_second(avatar, unseen, rasterizer, size),
        "frames_per_second_px": size,
        **({} if distance is None else {"identity_distance": distance}),
    }
    return files, metrics


def _spread(frames: Sequence[Picture]) -> list[Picture]:
    chosen = np.linspace(0, len(frames), min(ON_SHEET, len(frames)), endpoint=False).astype(int)
    return [frames[number] for number in chosen]


def _target(frame: TargetFrame) -> Picture:
    return np.round(255 * frame.image.numpy()).astype(np.uint8)


def _drawn(avatar: BodyAvatar, frame: TargetFrame, rasterizer: Rasterizer) -> Picture:
    return picture(draw(avatar, frame.pose, frame.translation, frame.camera, rasterizer))
