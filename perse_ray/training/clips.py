"""Clips of a finished synthesis: decoded in memory where they fit, streamed where they do not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np

from perse.data import PortraitClip, archive
from perse.data.clip_file import ClipFile
from perse.data.frame_stream import MIB, FrameStream
from perse.data.workspace import Workspace
from perse.training import ClipStore
from perse.training.clips import select_frames

log = logging.getLogger(__name__)

_OPENERS = 8
"""Threads that open clips: on an object store each one is a few round trips."""


@lru_cache(maxsize=1)
def load_clips(workspace: Workspace, keys: tuple[str, ...], memory_mib: int) -> ClipStore:
    """Frames of all clips, the reference first. Kept for the next stage of the same process: decoding takes seconds and
    the stages of a build follow each other in one process.

    Args:
        keys: content keys of the clips.
        memory_mib: decoded frames that this process may keep (`ClusterUse.clips_mib`). Results do not depend on it.
    """
    reference = archive.open_clip(workspace, keys[0])
    decoded_mib = len(keys) * len(reference) * reference.frame_bytes / MIB
    if decoded_mib <= memory_mib:
        log.debug("%d clips of %d frames are decoded into %.0f MiB", len(keys), len(reference), decoded_mib)
        return ClipStore([archive.load_clip(workspace, key) for key in keys])
    log.info(
        "%d clips of %d frames would take %.0f MiB decoded, the recipe keeps %d: frames are decoded when they are "
        "needed", len(keys), len(reference), decoded_mib, memory_mib,
    )  # fmt: skip
    stream = FrameStream(memory_mib * MIB)
    return ClipStore([stream.clip(file) for file in _opened(workspace, keys)])


def captured_frames(workspace: Workspace, key: str, trained: Sequence[int]) -> tuple[PortraitClip, PortraitClip]:
    """Frames that a camera recorded of the person: those to train on, and those that are kept unseen."""
    clip = archive.load_clip(workspace, key)
    chosen = np.isin(clip.frame_numbers, np.asarray(trained))
    return select_frames(clip, chosen), select_frames(clip, ~chosen)


def _opened(workspace: Workspace, keys: Sequence[str]) -> list[ClipFile]:
    with ThreadPoolExecutor(_OPENERS) as pool:
        return list(pool.map(partial(archive.open_clip, workspace), keys))


@lru_cache(maxsize=1)
def training_frames(clips: ClipStore, numbers: Sequence[int]) -> ClipStore:
    """Frames with these numbers only."""
    return clips.frames(np.isin(clips.frame_numbers, np.asarray(numbers)))


def unseen_frames(clips: ClipStore, trained: Sequence[int]) -> ClipStore:
    """Frames that are never trained on."""
    return clips.frames(~np.isin(clips.frame_numbers, np.asarray(trained)))
