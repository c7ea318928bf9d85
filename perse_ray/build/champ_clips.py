"""Four short videos to try a training on: two real photographs, each as it is and once edited, filmed procedurally.

The photographs come inside pip packages: Eileen Collins (scikit-image) and Grace Hopper (matplotlib); both are works
of the United States government and in the public domain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from perse.attributes import Category
from perse.data import AttributePrompt, EditedPortrait
from perse.data.durable_files import write_file_atomically
from perse.data.images import read_portrait
from perse.errors import WorkspaceError
from perse.export import mp4_bytes
from perse.head.sources import HeadSource
from perse.shapes import Picture
from perse.synthesis.motion import load_motion
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.procedural.editing import ProceduralEditorConfig
from perse.synthesis.seams import Shot
from perse.tracking import MediapipeTrackerConfig

FRAMES, STRIDE, SIZE_PX, FPS = 24, 4, 256, 12.0


@dataclass(frozen=True)
class SampleClip:
    """Sample video.

    Attributes:
        name: of the file.
        person: name of the photograph.
        edit: what is changed, or None.
        start: first frame of the shared motion; every fourth follows.
    """

    name: str
    person: str
    edit: AttributePrompt | None
    start: int


def _shirt(text: str, **slots: str) -> AttributePrompt:
    return AttributePrompt("clothes-0000", Category.CLOTHES, tuple(sorted(slots.items())), text, 0)


CLIPS = (
    SampleClip("collins", "collins", None, 0),
    SampleClip("collins-shirt", "collins", _shirt("a person in a red hoodie", garment="hoodie", color="red"), 100),
    SampleClip("hopper", "hopper", None, 60),
    SampleClip(
        "hopper-shirt", "hopper", _shirt("a person in a teal turtleneck", garment="turtleneck", color="teal"), 160
    ),
)


def film_sample_clips(folder: Path, source: HeadSource, tell: Callable[[str], None]) -> None:
    """Film those that the folder does not hold yet.

    Raises:
        WorkspaceError: the folder cannot be written.
    """
    missing = [clip for clip in CLIPS if not _place(folder, clip).exists()]
    if not missing:
        return
    head = source.load()
    tracker = MediapipeTrackerConfig().build(head)
    editor, animator = ProceduralEditorConfig().build(head), ProceduralAnimatorConfig().build(head)
    motion = load_motion(head)
    for person in dict.fromkeys(clip.person for clip in missing):
        portrait = tracker.track(photograph(person))
        for clip in (one for one in missing if one.person == person):
            tell(f"videos: filming {clip.name}")
            edited: EditedPortrait | None = editor.edit(portrait, clip.edit) if clip.edit is not None else None
            numbers = clip.start + STRIDE * np.arange(FRAMES, dtype=np.int32)
            shot = Shot(numbers, motion.frame(torch.from_numpy(numbers).long()), SIZE_PX)
            frames = animator.animate(portrait, edited, shot).images
            try:
                write_file_atomically(_place(folder, clip), mp4_bytes(iter(frames), FPS))
            except OSError as error:
                raise WorkspaceError(f"videos cannot be written to {folder} ({error.strerror})") from error


def photograph(person: str) -> Picture:
    """A photograph of a pip package, [h, w, 3]."""
    if person == "collins":
        import skimage.data

        return np.asarray(skimage.data.astronaut())
    from matplotlib import cbook

    return read_portrait(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))


def _place(folder: Path, clip: SampleClip) -> Path:
    return folder / f"{clip.name}.mp4"
