"""Picture of somebody else in the person's pose: what of it lies where on the person's head.

The stranger's picture is lifted to three dimensions as any portrait is. All heads share one mesh, so the lifted hair,
hat and beard can be drawn on the person's fitted head: its shape, its expression, its pose, its camera. Clothes are a
still layer without a mesh; they are moved and scaled so that the bases of the two necks meet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, Float32, Integer
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.head import pose_head
from perse.shapes import Colors, Field
from perse.synthesis.procedural.animator.body import BodyLayer
from perse.synthesis.procedural.animator.frames import clip_setting, draw_buffers, drawn_vertices
from perse.synthesis.procedural.animator.lifted import LiftedPortrait
from perse.synthesis.procedural.animator.own_pose import take_own_pose

SUPERSAMPLING = 2
_NECK_BASE = (0.05, 0.4)
"""Shares of the head's motion between which vertices belong to the base of the neck."""

_SOLID_SHARE = 0.9
"""Of its widest row, the body fills at least so much of a row above the picture's lower edge."""


@dataclass(frozen=True)
class ReposedPicture:
    """Picture of a stranger as it would look on the person's head.

    Attributes:
        rgb: [h, w, 3] float32, 0…255, not premultiplied; where nothing is drawn its content does not matter.
        shares: [p, h, w] float32 in [0, 1], how much of each pixel shows each `Part`.
    """

    rgb: Colors
    shares: Float32[NDArray[np.float32], "k h w"]


def repose(stranger: TrackedPortrait, lifted: LiftedPortrait, person: TrackedPortrait) -> ReposedPicture:
    """Lifted picture of a stranger, drawn with the person's head, pose and camera.

    Args:
        stranger: the tracked picture.
        lifted: what an animator made of it.
        person: the tracked portrait; the result has its size.
    """
    height, width = person.image.shape[:2]
    moved = replace(
        lifted,
        head=person.head,
        camera=person.camera,
        body=_moved(lifted.body, _between_necks(stranger, person, lifted), (width, height)),
    )
    setting = clip_setting(moved, width, SUPERSAMPLING)
    posed = pose_head(lifted.surface.model, person.head)
    transforms = posed.transforms.numpy()
    buffers = draw_buffers(setting, drawn_vertices(moved, posed.vertices.numpy(), transforms), transforms)

    def reduced(fine: Float[NDArray[np.floating], "sh sw *c"]) -> Float32[NDArray[np.float32], "h w *c"]:
        return cv2.resize(fine.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)

    alpha = reduced(buffers.alpha)
    on_white = reduced(buffers.rgb)
    shares = [reduced((buffers.parts == part) * buffers.alpha) for part in Part]
    own = (on_white - 255 * (1 - alpha[..., None])) / np.maximum(alpha, 1e-3)[..., None]
    return ReposedPicture(own.clip(0, 255).astype(np.float32), np.stack(shares))


def _between_necks(
    stranger: TrackedPortrait, person: TrackedPortrait, lifted: LiftedPortrait
) -> Float32[NDArray[np.float32], "2 3"]:
    """[2, 3] pixels of the stranger's picture to the person's: scale and shift of the base of the neck."""
    surface = lifted.surface
    share = surface.head_share
    base = surface.outer & (share > _NECK_BASE[0]) & (share < _NECK_BASE[1])
    base = base if base.any() else surface.outer
    still = np.zeros_like(surface.rest)
    theirs, ours = (take_own_pose(surface, one.head, one.camera, still).pixels[base, :2] for one in (stranger, person))
    scale = float(np.sqrt(ours.var(0).sum() / theirs.var(0).sum()))
    shift = ours.mean(0) - scale * theirs.mean(0)
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)


def _moved(body: BodyLayer, matrix: Float32[NDArray[np.float32], "2 3"], size: tuple[int, int]) -> BodyLayer:
    """The layer in the person's picture. Clothes do not end where a picture ends: below it they are mirrored."""

    def moved(layer: NDArray, how: int, border: int) -> NDArray:  # type: ignore[type-arg]
        return cv2.warpAffine(layer, matrix, size, flags=how, borderMode=border)

    alpha = moved(body.alpha, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    rows = _mirrored_rows(alpha)
    return BodyLayer(
        rgb=moved(body.rgb, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE).clip(0, 255)[rows],
        alpha=alpha[rows],
        labels=moved(body.labels, cv2.INTER_NEAREST, cv2.BORDER_REPLICATE)[rows],
        depth=moved(body.depth, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE),
    )


def _mirrored_rows(alpha: Field) -> Integer[NDArray[np.intp], " h"]:
    """Which row to show in every row: itself down to the last that the body fills, then the same way back."""
    width = alpha.sum(1)
    rows = np.arange(len(alpha))
    solid = np.nonzero(width >= _SOLID_SHARE * width.max())[0]
    if not len(solid) or width.max() < 1:
        return rows
    last = int(solid[-1])
    return np.where(rows <= last, rows, np.clip(2 * last - rows, 0, None))
