"""Choice of the frames of the shared motion that are filmed, and their size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from perse.data.motion_file import Motion, read_motion
from perse.errors import RecipeError
from perse.head import HeadModel, HeadParameters
from perse.synthesis.motion import TEST_FRAMES, TRAIN_FRAMES, load_motion
from perse.synthesis.seams import Shot


@dataclass(frozen=True, kw_only=True)
class Filming:
    """Choice of the filmed frames. 0–399 of the motion are trained on, 400–512 are kept unseen (P 5.1); of another
    motion the same shares."""

    stride: int = 1
    """Every n-th frame of the motion is filmed."""
    size_px: int = 512
    """Width and height of the frames."""
    motion: Path | None = None
    """A motion file of one's own (``jobs/track.py`` makes one of a video) in place of the built-in motion."""

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= len(TEST_FRAMES) or not 32 <= self.size_px <= 1024:
            raise RecipeError(
                f"filming needs a stride from 1 to {len(TEST_FRAMES)} and 32 to 1024 px, got {self.stride} and "
                f"{self.size_px}"
            )

    @property
    def train_frames(self) -> tuple[int, ...]:
        """Numbers of the frames that are trained on."""
        return tuple(self._numbers[0])[:: self.stride]

    @property
    def test_frames(self) -> tuple[int, ...]:
        """Numbers of the frames that are never trained on."""
        return tuple(self._numbers[1])[:: self.stride]

    def shot(self, head: HeadModel) -> Shot:
        """Request to an animator."""
        numbers = np.array([*self.train_frames, *self.test_frames], np.int32)
        motion = load_motion(head) if self.motion is None else _of_head(read_motion(self.motion), head)
        return Shot(numbers, motion.frame(torch.from_numpy(numbers).long()), self.size_px)

    @property
    def _numbers(self) -> tuple[range, range]:
        """All frames to train on, and all to keep unseen.

        Raises:
            RecipeError: one's own motion is too short to be divided.
        """
        if self.motion is None:
            return TRAIN_FRAMES, TEST_FRAMES
        count = len(read_motion(self.motion))
        trained = round(count * len(TRAIN_FRAMES) / TEST_FRAMES.stop)
        if not 1 <= trained < count:
            raise RecipeError(f"{self.motion.name} has {count} frame; a motion of two frames at least can be filmed")
        return range(trained), range(trained, count)


def _of_head(motion: Motion, head: HeadModel) -> HeadParameters:
    """A motion by name as parameters of a head, as far as the head has what it names."""
    names = head.expression_names, head.joint_names
    return motion.only(*names).parameters(*names)
