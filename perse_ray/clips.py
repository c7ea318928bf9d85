"""Clips of a finished synthesis, in memory."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from perse.data import archive
from perse.data.workspace import Workspace
from perse.training.clips import ClipStore


@lru_cache(maxsize=1)
def load_clips(workspace: Workspace, keys: tuple[str, ...]) -> ClipStore:
    """All frames of all clips, the reference first. Kept for the next stage of the same process: decoding takes
    seconds and the stages of a build follow each other in one process.

    Args:
        keys: content keys of the clips.
    """
    return ClipStore([archive.load_clip(workspace, key) for key in keys])


def training_frames(clips: ClipStore, train: range) -> ClipStore:
    """Only the frames whose numbers are in `train`."""
    return clips.frames(np.isin(clips.frame_numbers, np.asarray(train)))


def unseen_frames(clips: ClipStore, train: range) -> frozenset[int]:
    """Frame numbers that are never trained on."""
    return frozenset(int(number) for number in clips.frame_numbers if number not in train)
