"""The square window of the photograph that the whole pipeline works in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import PartMasks
from perse.shapes import ByteMask, FaceLandmarks, Picture, SoftMask
from perse.tracking.colors import blur
from perse.tracking.detection import face_width
from perse.tracking.landmarks import N_SURFACE

FADE_WIDTHS = 0.12
"""How far inside the photograph's border a person who is cut by it begins to fade, face widths."""


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """Framing of the portrait, in face widths (the width of the landmarks' bounding box)."""

    size_px: int = 512
    """Side of the crop, pixels."""
    widths: float = 3.2
    """Side of the crop in face widths: room for hats, long hair and shoulders."""
    headroom: float = 1.1
    """Face widths between the crop's upper edge and the top of the face's bounding box."""


@dataclass(frozen=True)
class Crop:
    """A square window, magnified.

    Attributes:
        image: [s, s, 3] uint8.
        inside: [s, s] uint8, 255 where real pixels of the photograph are seen.
        left, top: of the window, pixels of the photograph.
        scale: pixels of the crop per pixel of the photograph.
    """

    image: UInt8[NDArray[np.uint8], "s s 3"]
    inside: UInt8[NDArray[np.uint8], "s s"]
    left: float
    top: float
    scale: float

    def points(self, photo_px: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
        """Points [n, 2 or 3] of the photograph in pixels of the crop; z is scaled along."""
        origin = np.zeros(photo_px.shape[1], np.float32)
        origin[:2] = self.left, self.top
        return ((photo_px - origin) * self.scale).astype(np.float32)


def crop_portrait(image: Picture, landmarks_px: FaceLandmarks, config: CropConfig) -> Crop:
    """Window around a face; what lies beyond the photograph's border is continued softly."""
    width = face_width(landmarks_px)
    face = landmarks_px[:N_SURFACE]
    side = config.widths * width
    left = float(face[:, 0].min() + face[:, 0].max()) / 2 - side / 2
    top = float(face[:, 1].min()) - config.headroom * width
    scale = config.size_px / side
    # Affine maps act on pixel indices; pixel centres stand at index + 0.5.
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    size = (config.size_px, config.size_px)
    source = cv2.GaussianBlur(image, (0, 0), 0.45 / scale) if scale < 0.9 else image
    enlarging = cv2.INTER_CUBIC if scale >= 0.9 else cv2.INTER_LINEAR
    picture = cv2.warpAffine(source, matrix, size, flags=enlarging, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(
        np.full(image.shape[:2], 255, np.uint8), matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT
    )
    continued = soften_outside(np.asarray(picture, np.uint8), np.asarray(inside, np.uint8))
    return Crop(continued, np.asarray(inside, np.uint8), left, top, scale)


def end_softly(masks: PartMasks, inside: ByteMask, face_width_px: float) -> PartMasks:
    """Masks in which the person fades out towards the photograph's border: what was made up beyond it is nobody.

    Args:
        inside: [h, w], 255 where the picture is a photograph.
    """
    shown = fade(inside, face_width_px)
    if not (masks.person[shown < 1] > 8).any():
        return masks
    soft = np.round(masks.soft * shown).astype(np.uint8)
    soft[Part.BACKGROUND] = 0
    soft[Part.BACKGROUND] = np.clip(255 - soft.sum(0, dtype=np.int32), 0, 255)
    return PartMasks(soft, np.round(masks.person * shown).astype(np.uint8))


def fade(inside: ByteMask, face_width_px: float) -> SoftMask:
    """Share [h, w] of a person that is left before the photograph's border: 0 at and beyond it, 1 well inside."""
    if inside.all():
        return np.ones(inside.shape, np.float32)
    away = cv2.distanceTransform((inside > 0).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(smoothstep(away, 1.0, FADE_WIDTHS * face_width_px), np.float32)


def surely_shown(inside: ByteMask, face_width_px: float) -> SoftMask:
    """Mask [h, w] that is 1 where the photograph is farther from its border than a person fades out (`end_softly`),
    else 0."""
    if inside.all():
        return np.ones(inside.shape, np.float32)
    away = cv2.distanceTransform((inside > 0).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away > FADE_WIDTHS * face_width_px, np.float32)


def last_row(inside: ByteMask) -> int | None:
    """Lowest row of the photograph, if it ends within the crop; `inside` is [h, w], 255 where it does not."""
    rows = np.nonzero(inside.any(1))[0]
    return int(rows[-1]) if len(rows) and rows[-1] < len(inside) - 1 else None


def soften_outside(image: Picture, inside: ByteMask) -> Picture:
    """A crop whose pixels beyond the photograph's border, where that is repeated, are blurred more and more: otherwise
    they are streaks."""
    if inside.all():
        return image
    distance = cv2.distanceTransform((inside == 0).astype(np.uint8), cv2.DIST_L2, 5)
    result = image.astype(np.float32)
    blurred_before = result
    for sigma, reach in ((3.0, 4.0), (9.0, 20.0), (25.0, 60.0)):
        blurred = blur(blurred_before, sigma)
        amount = np.clip(distance / reach, 0, 1)[..., None]
        result = np.asarray(result * (1 - amount) + blurred * amount, np.float32)
        blurred_before = blurred
    outside = (inside == 0)[..., None]
    return np.where(outside, np.clip(result + 0.5, 0, 255).astype(np.uint8), image)
