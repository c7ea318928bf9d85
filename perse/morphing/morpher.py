"""Seam of the morphers: two pictures of one pose in, pictures between them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data.workspace import Workspace
from perse.head import HeadModel, HeadParameters


@dataclass(frozen=True)
class FrameOrigin:
    """Origin of an end's picture, under which a teacher finds the subject's adapter and its earlier work.

    Attributes:
        workspace: where the subject's adapter lies.
        clip: content key of the subject's clip.
        frame_number: position in the shared motion.
    """

    workspace: Workspace
    clip: str
    frame_number: int


@dataclass(frozen=True)
class FramePose:
    """Pose of the head in a frame, for a teacher that draws it again.

    Attributes:
        head: the head model.
        parameters: of the frame, with a leading [1].
    """

    head: HeadModel
    parameters: HeadParameters


@dataclass(frozen=True)
class MorphEnd:
    """One end of an interpolation (a *pivot*): a subject in one frame of the shared motion.

    Attributes:
        image: [h, w, 3] uint8 RGB on white.
        alpha: [h, w] uint8.
        shape: [h, w] bool, the pixels of the edited part; may be empty (a bald head has no hair).
        landmarks_px: [l, 2] float32 of this pose, pixel centres at half-integers; the same l points in both ends.
        category: what was edited; None where only pixels are known.
        origin: which picture this is; None for one that is in no workspace.
        pose: how the head is held; None where only pixels are known.
    """

    image: UInt8[NDArray[np.uint8], "h w 3"]
    alpha: UInt8[NDArray[np.uint8], "h w"]
    shape: Bool[NDArray[np.bool_], "h w"]
    landmarks_px: Float32[NDArray[np.float32], "l 2"]
    category: Category | None = None
    origin: FrameOrigin | None = None
    pose: FramePose | None = None

    def __post_init__(self) -> None:
        size = self.image.shape[:2]
        if self.alpha.shape != size or self.shape.shape != size or self.image.shape[2:] != (3,):
            raise ValueError(
                f"image [h, w, 3], alpha [h, w] and shape [h, w] must agree, got {self.image.shape}, "
                f"{self.alpha.shape} and {self.shape.shape}"
            )


@dataclass(frozen=True)
class MorphCost:
    """Work that a morph took.

    Attributes:
        unet_calls: forward passes of a UNet, each over a batch.
        unet_rows: pictures in all those batches together.
        ends_found, ends_made: ends whose inversion was remembered, and that had to be inverted.
        seconds: wall-clock time.
    """

    unet_calls: int = 0
    unet_rows: int = 0
    ends_found: int = 0
    ends_made: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Morph:
    """Pictures between two ends.

    Attributes:
        positions: [m] float32, where each lies between the first end (0) and the second (1). Mostly those that were
            asked for; a teacher that evens out its pace answers others, and these are the ones to interpolate z at.
        images: [m, h, w, 3] uint8 RGB on white.
        alphas: [m, h, w] uint8.
        shapes: [m, h, w] bool, the pixels of the edited part (M_part of Eq. 39); None from one who cannot tell.
        cost: what it took.
    """

    positions: Float32[NDArray[np.float32], " m"]
    images: UInt8[NDArray[np.uint8], "m h w 3"]
    alphas: UInt8[NDArray[np.uint8], "m h w"]
    shapes: Bool[NDArray[np.bool_], "m h w"] | None = None
    cost: MorphCost = MorphCost()


class Morpher(Protocol):
    """Interpolator of pictures. Deterministic; position 0 is `first` and 1 is `second`, to the bit."""

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        """Pictures at `positions`, each in [0, 1].

        Raises:
            ValueError: the ends differ in size, or a position lies outside [0, 1].
        """
        ...


def check_ends(first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> None:
    """Refuse ends that no morpher can work with.

    Raises:
        ValueError: the ends differ in size, or a position lies outside [0, 1].
    """
    if first.image.shape != second.image.shape:
        raise ValueError(f"the ends differ in size: {first.image.shape} and {second.image.shape}")
    if first.landmarks_px.shape != second.landmarks_px.shape:
        raise ValueError(
            f"the ends differ in their landmarks: {first.landmarks_px.shape} and {second.landmarks_px.shape}"
        )
    if any(not 0 <= t <= 1 for t in positions):
        raise ValueError(f"positions must lie between 0 and 1, got {list(positions)}")
