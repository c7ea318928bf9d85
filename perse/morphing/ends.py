"""Frames of clips as ends of a morph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.attributes import CATEGORY_PARTS, Category
from perse.data import PortraitClip
from perse.data.workspace import Workspace
from perse.head import HeadModel, pose_head
from perse.morphing.morpher import FrameOrigin, FramePose, MorphEnd, Morpher


def morph_end(frame: PortraitClip, category: Category, head: HeadModel, origin: FrameOrigin | None = None) -> MorphEnd:
    """End of an interpolation from a clip of one frame: the edited part's pixels and the posed head's landmarks."""
    landmarks, _ = frame.camera.project(head.landmarks(pose_head(head, frame.parameters).vertices))
    shape = np.isin(frame.parts[0], [int(part) for part in CATEGORY_PARTS[category]])
    landmarks_px = landmarks[0].numpy().astype(np.float32)
    pose = FramePose(head, frame.parameters)
    return MorphEnd(frame.images[0], frame.alphas[0], shape, landmarks_px, category, origin, pose)


@dataclass(frozen=True)
class ClipMorphs:
    """Morphs between two subjects' clips.

    Attributes:
        morpher: makes the pictures.
        head: whose landmarks guide it.
        workspace: where the clips and their adapters lie; only needed by a morpher that has adapters.
        files: by key of a subject (`PortraitClip.key`), the content key of its clip in there.
    """

    morpher: Morpher
    head: HeadModel
    workspace: Workspace | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def between(
        self, first: PortraitClip, second: PortraitClip, category: Category, alphas: Sequence[float]
    ) -> UInt8[NDArray[np.uint8], "a h w 3"]:
        """Pictures [a, h, w, 3] on white between two clips of one frame each, in the same pose."""
        start, stop = (morph_end(clip, category, self.head, self._origin(clip)) for clip in (first, second))
        return self.morpher.morph(start, stop, alphas).images

    def _origin(self, clip: PortraitClip) -> FrameOrigin | None:
        if self.workspace is None or clip.key not in self.files:
            return None
        return FrameOrigin(self.workspace, self.files[clip.key], int(clip.frame_numbers[0]))
