"""Filmed frames as a file: plain arrays, so that any process can read them."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float16, Float32, Int8, UInt8
from numpy.typing import NDArray

from perse.body.animation.drawing import DrawnBody
from perse.body.model import BodyParameters
from perse.errors import DamagedFile
from perse.geometry import Camera
from perse.plain_arrays import PlainArrayError, read_npz
from perse.shapes import HardMask

MAX_BYTES = 4 * 2**30


@dataclass(frozen=True)
class BodyClip:
    """Frames of one person under one camera, with their poses.

    Attributes:
        image: [f, h, w, 3] uint8, on white.
        alpha: [f, h, w] uint8.
        depth: [f, h, w] float16, metres; 0 where nobody is.
        normals: [f, h, w, 3] int8, 127 is one, camera axes.
        parts: [f, h, w] uint8, values of `Cover`.
        hands: [f, h, w] bool.
        seams: [f, h, w] bool, where one part of the body ends before another.
        pose: [f, 55, 3] float32, axis-angle; translation: [f, 3] float32, metres.
        world_to_camera: [4, 4] float32; intrinsics: [3, 3] float32.
    """

    image: UInt8[NDArray[np.uint8], "f h w 3"]
    alpha: UInt8[NDArray[np.uint8], "f h w"]
    depth: Float16[NDArray[np.float16], "f h w"]
    normals: Int8[NDArray[np.int8], "f h w 3"]
    parts: UInt8[NDArray[np.uint8], "f h w"]
    hands: Bool[NDArray[np.bool_], "f h w"]
    seams: Bool[NDArray[np.bool_], "f h w"]
    pose: Float32[NDArray[np.float32], "f 55 3"]
    translation: Float32[NDArray[np.float32], "f 3"]
    world_to_camera: Float32[NDArray[np.float32], "4 4"]
    intrinsics: Float32[NDArray[np.float32], "3 3"]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def camera(self) -> Camera:
        height, width = self.image.shape[1:3]
        return Camera(
            torch.from_numpy(self.world_to_camera.copy()), torch.from_numpy(self.intrinsics.copy()), width, height
        )

    def to_bytes(self) -> bytes:
        """An npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, **{field.name: getattr(self, field.name) for field in fields(self)})
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> BodyClip:
        """Clip in the bytes of its file.

        Raises:
            DamagedFile: it is no such file.
        """
        try:
            arrays = dict(read_npz(data, max_bytes=MAX_BYTES, max_members=len(fields(cls))))
            return cls(**arrays)  # type: ignore[arg-type]
        except (PlainArrayError, TypeError) as error:
            raise DamagedFile(f"a clip of body frames is damaged ({error}); run the same command again") from None


def clip_of(frames: list[DrawnBody], motion: BodyParameters, camera: Camera) -> BodyClip:
    """Clip of drawn frames and the motion that they show."""
    return BodyClip(
        image=np.stack([one.image for one in frames]),
        alpha=np.stack([one.alpha for one in frames]),
        depth=np.stack([one.depth for one in frames]).astype(np.float16),
        normals=np.stack([one.normals for one in frames]),
        parts=np.stack([one.parts for one in frames]),
        hands=np.stack([one.hands for one in frames]),
        seams=np.stack([seams_of(one, camera) for one in frames]),
        pose=motion.pose.numpy().astype(np.float32),
        translation=motion.translation.numpy().astype(np.float32),
        world_to_camera=camera.world_to_camera.numpy().astype(np.float32),
        intrinsics=camera.intrinsics.numpy().astype(np.float32),
    )


SEAM_M = 0.02
"""A jump of the surface's place between neighbouring pixels."""
SEAM_PX = 2


def seams_of(frame: DrawnBody, camera: Camera) -> HardMask:
    """Mask [h, w] of the seams between parts of the body that lie before each other: Sobel of the position map > 2 cm,
    dilated."""
    import cv2

    height, width = frame.depth.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    k = camera.intrinsics.numpy()
    rays = np.stack([(x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], np.ones_like(x)], -1)
    place = (rays * frame.depth[..., None]).astype(np.float32)
    across, down = cv2.Sobel(place, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(place, cv2.CV_32F, 0, 1, scale=0.125)
    jump = np.sqrt(np.square(across).sum(-1) + np.square(down).sum(-1)) > SEAM_M
    inner = cv2.erode((frame.depth > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    grown = cv2.dilate((jump & inner).astype(np.uint8), np.ones((2 * SEAM_PX + 1,) * 2, np.uint8))
    return np.asarray((grown > 0) & (frame.depth > 0))
