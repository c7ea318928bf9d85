"""A studio whose editors, screens and animators sleep, and write down when they did."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import AttributePrompt, EditedPortrait, PartMasks, PortraitClip, TrackedPortrait, Verdict
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters
from perse.synthesis.seams import Shot

SIZE_PX = 8
REJECTED_SHARE = 0.05
"""Of the edits: they are replaced while the pipeline runs."""


@dataclass(frozen=True)
class Span:
    """A piece of work: which stage, from when to when, in seconds of the clock."""

    stage: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True)
class Journal:
    """A file to which all processes of a machine append what they did."""

    file: str

    @contextmanager
    def noted(self, stage: str) -> Iterator[None]:
        """Writes down how long a block took."""
        begin = time.time()
        yield
        line = f"{stage} {begin:.4f} {time.time():.4f}\n".encode()
        handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line)
        os.close(handle)

    def spans(self, stage: str) -> list[Span]:
        """What a stage did so far."""
        if not Path(self.file).exists():
            return []
        words = (line.split() for line in Path(self.file).read_text().splitlines())
        return [Span(name, float(begin), float(end)) for name, begin, end in words if name == stage]


@dataclass(frozen=True)
class NoHead:
    def load(self) -> HeadModel:
        return None  # type: ignore[return-value]


@dataclass(frozen=True)
class SleepingEditor:
    """Takes its time and returns the portrait; a batch takes as long as its edits one by one."""

    seconds: float
    journal: Journal

    def build(self, head: HeadModel) -> SleepingEditor:
        return self

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        return self.edit_many(portrait, [prompt])[0]

    def edit_many(self, portrait: TrackedPortrait, prompts: Sequence[AttributePrompt]) -> list[EditedPortrait]:
        with self.journal.noted("edit"):
            time.sleep(self.seconds * len(prompts))
        mask = _full()
        return [
            EditedPortrait("", prompt, portrait.image, portrait.masks, mask, (), None, (("backend", "sleep"),))
            for prompt in prompts
        ]


@dataclass(frozen=True)
class SleepingScreen:
    """Rejects a share of the edits by their seeds."""

    seconds: float
    journal: Journal

    def build(self, head: HeadModel) -> SleepingScreen:
        return self

    def screen(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Verdict:
        with self.journal.noted("screen"):
            time.sleep(self.seconds)
        bad = edited.prompt.seed % 100 < 100 * REJECTED_SHARE
        return Verdict(not bad, ("by lot",) if bad else (), ())


@dataclass(frozen=True)
class SleepingAnimator:
    """Three frames of the portrait, after a while."""

    seconds: float
    journal: Journal

    def build(self, head: HeadModel) -> SleepingAnimator:
        return self

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        with self.journal.noted("animate"):
            time.sleep(self.seconds)
        frames = len(shot.frame_numbers)
        return PortraitClip(
            "", shot.frame_numbers, np.repeat(portrait.image[None], frames, 0), _frames(frames, 255),
            _frames(frames, Part.SKIN), shot.motion.with_identity(portrait.head), portrait.camera,
        )  # fmt: skip


@dataclass(frozen=True)
class ThreeFrames:
    def shot(self, head: HeadModel) -> Shot:
        motion = HeadParameters(torch.zeros(2), torch.zeros(3, 3), torch.zeros(3, 2), torch.zeros(3, 5, 3))
        return Shot(np.array([0, 8, 400], np.int32), motion, SIZE_PX)


def small_portrait() -> TrackedPortrait:
    """A complete tracked portrait of 8 px."""
    soft = np.zeros((len(Part), SIZE_PX, SIZE_PX), np.uint8)
    soft[Part.SKIN] = 255
    return TrackedPortrait(
        key="somebody",
        image=np.random.default_rng(0).integers(0, 255, (SIZE_PX, SIZE_PX, 3), np.uint8),  # flat clips are refused
        inside=_full(),
        landmarks_px=np.zeros((478, 3), np.float32),
        masks=PartMasks(soft, _full()),
        head=HeadParameters(torch.zeros(2), torch.zeros(3, 3), torch.zeros(2), torch.zeros(5, 3)),
        camera=Camera(torch.eye(4), torch.eye(3), SIZE_PX, SIZE_PX),
        face_width_px=4.0,
        fit_rms_px=0.0,
    )


def _full() -> NDArray[np.uint8]:
    return _frames(1, 255)[0]


def _frames(count: int, value: int) -> NDArray[np.uint8]:
    return np.full((count, SIZE_PX, SIZE_PX), int(value), np.uint8)
