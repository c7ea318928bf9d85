"""Buffers of a frame: the picture that is drawn into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from perse.attributes import Part


@dataclass(frozen=True)
class FrameBuffers:
    """Buffers of one frame while it is being drawn; the arrays are written in place.

    Attributes:
        rgb: [h, w, 3] float32, 0…255, already composited over white with `alpha`.
        alpha: [h, w] float32 in [0, 1].
        parts: [h, w] uint8, values of `Part`.
        depth: [h, w] float32, camera z in metres of what is seen; +inf where nothing is.
    """

    rgb: Float32[NDArray[np.float32], "h w 3"]
    alpha: Float32[NDArray[np.float32], "h w"]
    parts: UInt8[NDArray[np.uint8], "h w"]
    depth: Float32[NDArray[np.float32], "h w"]

    def __post_init__(self) -> None:
        size = self.alpha.shape
        if self.rgb.shape != (*size, 3) or self.parts.shape != size or self.depth.shape != size:
            raise ValueError(
                f"the buffers differ in size: rgb {self.rgb.shape}, alpha {size}, parts {self.parts.shape}, "
                f"depth {self.depth.shape}"
            )
        kinds = (self.rgb.dtype, self.alpha.dtype, self.parts.dtype, self.depth.dtype)
        if kinds != (np.float32, np.float32, np.uint8, np.float32):
            raise ValueError(f"rgb, alpha and depth must be float32 and parts uint8, got {kinds}")

    @property
    def height(self) -> int:
        return self.alpha.shape[0]

    @property
    def width(self) -> int:
        return self.alpha.shape[1]

    @classmethod
    def blank(cls, height: int, width: int) -> FrameBuffers:
        """Buffers in which nothing is drawn yet: white."""
        return cls(
            rgb=np.full((height, width, 3), 255, np.float32),
            alpha=np.zeros((height, width), np.float32),
            parts=np.full((height, width), Part.BACKGROUND, np.uint8),
            depth=np.full((height, width), np.inf, np.float32),
        )
