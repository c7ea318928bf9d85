"""Clips of a finished synthesis, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from perse.data import archive
from perse.data.workspace import Workspace
from perse.training import ClipStore


@lru_cache(maxsize=1)
def load_clips(workspace: Workspace, keys: tuple[str, ...]) -> ClipStore:
    """All frames of all clips, the reference first. Kept for the next stage of the same process: decoding takes
    seconds and the stages of a build follow each other in one process.

    Args:
        keys: content keys of the clips.
    """
    return ClipStore([archive.load_clip(workspace, key) for key in keys])


@lru_cache(maxsize=1)
def training_frames(clips: ClipStore, numbers: Sequence[int]) -> ClipStore:
    """Only the frames with these numbers."""
    return clips.frames(np.isin(clips.frame_numbers, np.asarray(numbers)))


def unseen_frames(clips: ClipStore, trained: Sequence[int]) -> ClipStore:
    """The frames that are never trained on."""
    return clips.frames(~np.isin(clips.frame_numbers, np.asarray(trained)))
