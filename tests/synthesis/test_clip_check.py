"""A clip that would stop a training is refused with what is wrong with it; a sound one is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from perse.attributes import Part
from perse.data import PortraitClip
from perse.errors import GenerationError
from perse.geometry import Camera
from perse.head import HeadParameters
from perse.synthesis.clip_check import check_clip
from perse.synthesis.seams import Shot

FRAMES, SIZE = 4, 16


def motion() -> HeadParameters:
    pose = torch.zeros(FRAMES, 5, 3)
    pose[:, 1, 1] = torch.linspace(-0.3, 0.3, FRAMES)
    return HeadParameters(torch.ones(2), torch.zeros(3, 3), torch.linspace(0, 1, FRAMES)[:, None], pose)


SHOT = Shot(np.arange(0, 40, 10, dtype=np.int32), motion(), SIZE)


def sound() -> PortraitClip:
    rng = np.random.default_rng(0)
    return PortraitClip(
        key="k",
        frame_numbers=SHOT.frame_numbers.copy(),
        images=rng.integers(0, 255, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8),
        alphas=np.full((FRAMES, SIZE, SIZE), 255, np.uint8),
        parts=np.full((FRAMES, SIZE, SIZE), int(Part.SKIN), np.uint8),
        parameters=motion(),
        camera=Camera(torch.eye(4), torch.eye(3), SIZE, SIZE),
    )


def test_a_sound_clip_passes() -> None:
    check_clip(sound(), SHOT)


def test_so_does_a_still_one_of_a_motion_without_movement() -> None:
    still = replace(SHOT, motion=motion().frame(torch.zeros(FRAMES, dtype=torch.long)))
    clip = replace(sound(), parameters=still.motion, images=np.repeat(np.asarray(sound().images)[:1], FRAMES, 0))
    check_clip(clip, still)


def with_parameters(change: Callable[[HeadParameters], HeadParameters]) -> PortraitClip:
    return replace(sound(), parameters=change(motion()))


def nan_pose(head: HeadParameters) -> HeadParameters:
    head.pose[2, 1, 0] = torch.nan
    return head


def frame_of(name: str, value: int) -> PortraitClip:
    clip = sound()
    getattr(clip, name)[2] = value
    return clip


def black_person() -> PortraitClip:
    """On white, as clips are composited."""
    clip = sound()
    clip.alphas[1, :, : SIZE // 2] = 0
    clip.images[1] = 255
    clip.images[1][:, SIZE // 2 :] = 0
    return clip


BAD: dict[str, tuple[Callable[[], PortraitClip], str]] = {
    "NaN pose": (lambda: with_parameters(nan_pose), "pose holds numbers that are not finite"),
    "infinite betas": (lambda: with_parameters(lambda h: replace(h, betas=h.betas / 0)), "betas holds numbers"),
    "other motion": (lambda: with_parameters(lambda h: replace(h, pose=h.pose + 1e-3)), "pose is not that of"),
    "other face": (lambda: with_parameters(lambda h: replace(h, expression=-h.expression)), "expression is not that"),
    "NaN camera": (
        lambda: replace(sound(), camera=Camera(torch.eye(4) * torch.nan, torch.eye(3), SIZE, SIZE)), "camera holds",
    ),
    "black frame": (lambda: frame_of("images", 0), r"one colour fills frame 20 \(1 of 4 frames\)"),
    "black person": (black_person, "one colour fills frame 10"),
    "no alpha": (lambda: frame_of("alphas", 0), "nobody is in frame 20"),
    "unknown part": (lambda: frame_of("parts", 200), "unknown parts are in frame 20"),
    "frozen": (lambda: replace(sound(), images=np.repeat(np.asarray(sound().images)[:1], FRAMES, 0)), "one picture in"),
    "other frames": (lambda: replace(sound(), frame_numbers=SHOT.frame_numbers + 1), "asked for 4 frames"),
    "other size": (lambda: replace(sound(), images=np.zeros((FRAMES, 8, 8, 3), np.uint8)), "clip's images are"),
    "floats": (lambda: replace(sound(), images=np.full((FRAMES, SIZE, SIZE, 3), np.nan)), "expected uint8"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_clip_that_is_not_is_refused_with_the_reason(kind: str) -> None:
    make, reason = BAD[kind]
    with pytest.raises(GenerationError, match=reason):
        check_clip(make(), SHOT)
