"""Which frames of the shared motion are filmed, and how large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from perse.errors import RecipeError
from perse.head import HeadModel
from perse.synthesis.motion import TEST_FRAMES, TRAIN_FRAMES, load_motion
from perse.synthesis.seams import Shot


@dataclass(frozen=True, kw_only=True)
class Filming:
    """Frames 0–399 of the motion are trained on, 400–512 are kept unseen (P 5.1)."""

    stride: int = 1
    """Every n-th frame of the motion is filmed."""
    size_px: int = 512
    """Width and height of the frames."""

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= len(TEST_FRAMES) or not 32 <= self.size_px <= 1024:
            raise RecipeError(
                f"filming needs a stride from 1 to {len(TEST_FRAMES)} and 32 to 1024 px, got {self.stride} and "
                f"{self.size_px}"
            )

    @property
    def train_frames(self) -> tuple[int, ...]:
        """Numbers of the frames that are trained on."""
        return tuple(TRAIN_FRAMES)[:: self.stride]

    @property
    def test_frames(self) -> tuple[int, ...]:
        """Numbers of the frames that are never trained on."""
        return tuple(TEST_FRAMES)[:: self.stride]

    def shot(self, head: HeadModel) -> Shot:
        """What an animator is asked for."""
        numbers = np.array([*self.train_frames, *self.test_frames], np.int32)
        return Shot(numbers, load_motion(head).frame(torch.from_numpy(numbers).long()), self.size_px)
