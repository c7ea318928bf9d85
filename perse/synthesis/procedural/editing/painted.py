"""Result of an edit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse.data import Attachment, PartMasks, TrackedPortrait, Underlay
from perse.shapes import ByteMask, Picture


@dataclass(frozen=True)
class PaintedEdit:
    """A portrait with one attribute changed: painted, or put on in 3D and drawn into the picture.

    Attributes:
        image: [h, w, 3] uint8 RGB; equals the portrait to the pixel where `edit_mask` is 0.
        masks: part masks of `image`; like the portrait's own where `edit_mask` is 0.
        edit_mask: [h, w] uint8, everything that may differ: the edit, its shadow, its feather, removed hair.
        attachments: what is worn or grown, in the rest pose of the fitted head, its ambient shading baked; none of an
            edit that is only painted.
        underlay: the picture before they were put on, old hair removed, without their shadows: an animator casts
            these itself (`shadows_on`), as the hidden sides of the head need them as well. None without attachments.
    """

    image: Picture
    masks: PartMasks
    edit_mask: ByteMask
    attachments: tuple[Attachment, ...] = ()
    underlay: Underlay | None = None

    def __post_init__(self) -> None:
        shape = self.image.shape[:2]
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"image must be uint8 [h, w, 3], got {self.image.dtype} {self.image.shape}")
        if self.edit_mask.dtype != np.uint8 or self.edit_mask.shape != shape or self.masks.person.shape != shape:
            raise ValueError(
                f"image {shape}, edit_mask {self.edit_mask.dtype} {self.edit_mask.shape} and masks "
                f"{self.masks.person.shape} must agree in size, the mask in uint8"
            )


def unchanged(portrait: TrackedPortrait) -> PaintedEdit:
    """Portrait to which nothing has been done."""
    return PaintedEdit(portrait.image, portrait.masks, np.zeros(portrait.image.shape[:2], np.uint8))
