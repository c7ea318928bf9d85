"""A subject's training video: the animated portrait with its exact head parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int32, UInt8
from numpy.typing import NDArray

from perse.geometry.camera import Camera
from perse.head.parameters import HeadParameters

UNRECORDED = 255
"""In a part map: what the recording does not show, because the frame ended before the camera's picture did. Such a
pixel says nothing, neither to a training nor to a measurement; its image is white and its alpha 0."""


class Pictures(Protocol):
    """Pictures [f, h, w, …] uint8, read by index: an array, or something that decodes what is asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[UInt8[NDArray[np.uint8], "h w *c"]]: ...

    def __getitem__(self, index: Any, /) -> UInt8[NDArray[np.uint8], "*f h w *c"]:
        """Frames by number, list of numbers, slice or mask, as an array indexes its first axis."""
        ...


@dataclass(frozen=True)
class PortraitClip:
    """Frames of one subject along the shared motion.

    Attributes:
        key: the edited portrait's key, or the identity's for the reference clip.
        frame_numbers: [f] int32, positions in the shared motion; the same number means the same pose for all subjects.
        images: [f, h, w, 3] uint8 RGB, composited on white.
        alphas: [f, h, w] uint8.
        parts: [f, h, w] uint8, values of `Part`; of recorded frames also `UNRECORDED`.
        parameters: head parameters with a leading [f].
        camera: one static camera.
    """

    key: str
    frame_numbers: Int32[np.ndarray, " f"]
    images: Pictures
    alphas: Pictures
    parts: Pictures
    parameters: HeadParameters
    camera: Camera

    def __len__(self) -> int:
        return len(self.frame_numbers)

    def frame(self, number: int) -> PortraitClip:
        """The clip of a single one of its frames."""
        only = slice(number, number + 1)
        return replace(
            self,
            frame_numbers=self.frame_numbers[only],
            images=self.images[only],
            alphas=self.alphas[only],
            parts=self.parts[only],
            parameters=self.parameters.frame(only),
        )
