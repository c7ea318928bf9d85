"""Soft part masks of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import UInt8

from perse.attributes import Part
from perse.shapes import ByteMask, SoftMask


@dataclass(frozen=True)
class PartMasks:
    """Soft masks of the parts of a picture: how much of each pixel belongs to each.

    Attributes:
        soft: [p, h, w] uint8, 255 = fully, indexed by `Part`. Over a pixel the parts sum to about 255.
        person: [h, w] uint8, alpha matte of the whole person (everything but background, headwear included).
    """

    soft: UInt8[np.ndarray, "p h w"]
    person: ByteMask

    def __post_init__(self) -> None:
        if self.soft.ndim != 3 or self.soft.shape[0] != len(Part) or self.soft.dtype != np.uint8:
            raise ValueError(f"soft must be uint8 [{len(Part)}, h, w], got {self.soft.dtype} {self.soft.shape}")
        if self.person.shape != self.soft.shape[1:]:
            raise ValueError(f"person {self.person.shape} and soft {self.soft.shape} differ in size")

    def __getitem__(self, part: Part) -> SoftMask:
        """One part as float32 [h, w] in [0, 1]."""
        return self.soft[part].astype(np.float32) / np.float32(255)

    @cached_property
    def labels(self) -> ByteMask:
        """Hard part map [h, w]: the strongest part of each pixel."""
        return self.soft.argmax(0).astype(np.uint8)
