"""Displacement of parts of a face: landmarks say where to, a warp takes picture and masks along."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy.typing import NDArray

from perse.data import PartMasks
from perse.shapes import Colors, Field, Vectors
from perse.synthesis.procedural.editing.canvas import blur
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.warp import displacement, move_points, moved_region, warp, warp_masks
from perse.tracking.landmarks import N_SURFACE

_ROUNDS = 6


@dataclass(frozen=True)
class Reshaped:
    """A portrait after a warp.

    Attributes:
        rgb: [h, w, 3] float32 in 0..255.
        masks: warped with the picture.
        points: [478, 2] landmarks after the warp, pixels.
        region: [h, w] in 0..1, 1 wherever anything moved.
        field: [h, w, 2] the backward displacement.
    """

    rgb: Colors
    masks: PartMasks
    points: Float32[NDArray[np.float32], "478 2"]
    region: Field
    field: Vectors


def reshape(
    frame: FaceFrame,
    target: Float[NDArray[np.float32], "478 2"],
    moving: Bool[NDArray[np.bool_], "478"],
    still: Bool[NDArray[np.bool_], "478"],
    window: Field,
) -> Reshaped:
    """Portrait warped so that its moving landmarks come to lie at their targets.

    Args:
        target: [478, 2] pixels; read where `moving`.
        moving, still: [478]; landmarks in neither follow the others smoothly.
        window: [h, w] in 0..1; nothing outside of it moves.
    """
    moving, still = moving[:N_SURFACE], still[:N_SURFACE] & ~moving[:N_SURFACE]
    points = frame.points[:N_SURFACE]
    field = displacement(points[moving], target[:N_SURFACE][moving], points[still], window)
    field = kept_inside(field, np.asarray(frame.portrait.masks.person, np.float32) / np.float32(255))
    picture = np.asarray(warp(frame.rgb, field), np.float32)
    # Lanczos overshoots at sharp edges.
    picture = picture.clip(0, 255)
    moved = move_points(frame.points, field)
    moved[:N_SURFACE][moving] = target[:N_SURFACE][moving]
    return Reshaped(
        rgb=picture,
        masks=warp_masks(frame.portrait.masks, field),
        points=moved,
        region=moved_region(field),
        field=field,
    )


def kept_inside(field: Vectors, person: Field) -> Vectors:
    """Displacement, shortened wherever it would fetch background into the person; the same if it never does.

    Args:
        field: [h, w, 2] backward; person: [h, w] in 0..1.
    """
    for _ in range(_ROUNDS):
        holes = (person > 0.95) & (np.asarray(warp(person, field, soft=True)) < 0.8) & (moved_region(field) > 0)
        if not holes.any():
            break
        near = blur(cv2.dilate(holes.astype(np.float32), np.ones((9, 9), np.uint8)), 3.0)
        field = (field * (1 - 0.6 * np.clip(1.5 * near, 0, 1))[..., None]).astype(np.float32)
    return field


def unmoved(frame: FaceFrame) -> Reshaped:
    """The portrait as it is, in the form of a reshaped one."""
    nothing = np.zeros((*frame.shape, 2), np.float32)
    return Reshaped(frame.rgb, frame.portrait.masks, frame.points, nothing[..., 0], nothing)


def restore_detail(
    reshaped: Reshaped, detail: Float[NDArray[np.float32], "h w 1"]
) -> Float[NDArray[np.float32], "h w 3"]:
    """Picture with fine detail [h, w, 1] where the warp stretched it, in proportion to the stretch."""
    across = np.gradient(reshaped.field[..., 0], axis=1)
    down = np.gradient(reshaped.field[..., 1], axis=0)
    stretch = (1 - (1 + across) * (1 + down)).clip(0, 0.8)
    return reshaped.rgb + detail * blur(stretch, 2.0)[..., None] * 1.5
