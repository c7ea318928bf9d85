"""Frames of clips as ends of a morph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perse.attributes import CATEGORY_PARTS, Category
from perse.data import PortraitClip
from perse.head import HeadModel, pose_head
from perse.morphing.morpher import MorphEnd, Morpher


def morph_end(frame: PortraitClip, category: Category, head: HeadModel) -> MorphEnd:
    """A clip of one frame as an end of an interpolation: the edited part's pixels and the posed head's landmarks."""
    landmarks, _ = frame.camera.project(head.landmarks(pose_head(head, frame.parameters).vertices))
    shape = np.isin(frame.parts[0], [int(part) for part in CATEGORY_PARTS[category]])
    return MorphEnd(frame.images[0], frame.alphas[0], shape, landmarks[0].numpy().astype(np.float32))


@dataclass(frozen=True)
class ClipMorphs:
    """Morphs between two subjects' clips.

    Attributes:
        morpher: makes the pictures.
        head: whose landmarks guide it.
    """

    morpher: Morpher
    head: HeadModel

    def between(
        self, first: PortraitClip, second: PortraitClip, category: Category, alphas: Sequence[float]
    ) -> NDArray[np.uint8]:
        """Pictures [a, h, w, 3] on white between two clips of one frame each, in the same pose."""
        start, stop = (morph_end(clip, category, self.head) for clip in (first, second))
        return self.morpher.morph(start, stop, alphas).images
