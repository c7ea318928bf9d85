"""Curtain of long hair, or of cloth over the head: it falls behind the neck from one side of the face to the other.

The photograph shows what hangs beside the face and nothing of what hangs behind it. The curtain starts inside the
lifted head above the ears, ends where the strands beside the face end, and is half an ellipse at every
height: from the left outline of the hair, past the back of the head, to the right outline. Nothing of it is drawn
where the photograph shows background, or a garment before it (the visual hull, Laurentini 1994), so hair that falls in
front of both shoulders with air between it and the neck stays apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from perse.attributes import Part
from perse.curves import smoothstep
from perse.render.mesh import project_vertices
from perse.shapes import ByteMask, Field, HardMask
from perse.synthesis.procedural.animator.by_example import detail_like, read_example
from perse.synthesis.procedural.animator.fill import strand_noise
from perse.synthesis.procedural.animator.hair_volume import COVERS, fallen_row
from perse.synthesis.procedural.animator.own_pose import OwnPose, sample
from perse.synthesis.procedural.animator.projection import PreparedPhotograph
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.tracking.person import disk

_NECK_HALF = 0.36
"""Half the width of what a neck hides, in face widths: the curtain's edge on a side where no hair is seen to fall."""
_NARROWER = 0.94
"""The curtain's width as a share of the outline's: at rest it is hidden behind the strands beside the face."""
_SPREAD = 0.6
"""How much wider it becomes by row."""
_INSIDE_M = 0.006
"""How deep it lies below the lifted head where it starts."""
_FORWARD_M = 0.015
"""How far before the ears' plane it comes at most."""
_LINING_M = 0.004
_LINING_SHADE = 0.6
"""Its inner side, seen between the neck and the farther strands, lies in the shade of both."""
_BEGINS_PX = 40
"""Rows over which it comes in above the ears, inside the lifted head: from where that is widest, hair falls straight
down, and an upper edge outside of it would be a line across the back of the head."""
_STRIP = 0.1
"""Half the width, face widths, of a strip of collar between neck and strands that the curtain crosses."""
_ACROSS, _NODE_PX = 384, 6
_SEED = 21


@dataclass(frozen=True)
class CurtainOutline:
    """Outline of long hair in the photograph, by row.

    Attributes:
        top: the first row, some way above the ears.
        left, right: [r] columns of its outer edges.
        ends: rows below `top` at which the hair ends on the left and on the right.
    """

    top: int
    left: Float64[NDArray[np.float64], " r"]
    right: Float64[NDArray[np.float64], " r"]
    ends: tuple[float, float]


@dataclass(frozen=True)
class Curtain:
    """A surface as a grid of nodes, and its texture.

    Attributes:
        world: [rows, columns, 3] metres in the portrait's own pose; inwards: [rows, columns, 3] unit, to its axis.
        heights: [rows] pixel row of every row of nodes.
        texture: [h, w, 4] float32, 0…255.
    """

    world: Float64[NDArray[np.float64], "rows columns 3"]
    inwards: Float64[NDArray[np.float64], "rows columns 3"]
    heights: Float64[NDArray[np.float64], " rows"]
    texture: Float32[NDArray[np.float32], "h w 4"]

    def lining(self) -> Curtain:
        """Inner side of the curtain, darker and a little nearer to the neck."""
        texture = self.texture.copy()
        texture[..., :3] *= _LINING_SHADE
        return Curtain(self.world + _LINING_M * self.inwards, self.inwards, self.heights, texture)


def trace_outline(
    core: ByteMask,
    drawn: HardMask,
    ears_row: int,
    axis: float,
    face_width_px: float,
    end: int | None,
) -> CurtainOutline | None:
    """Outline of what hangs, along its outer edges; None where nothing hangs below the chin.

    Args:
        core: [h, w] of 0 or 1, what hangs off the head (and together with it); drawn: [h, w], the head itself.
        axis: the column of the head's middle.
        end: the photograph's last row if it ends within the crop.
    """
    chin = int(np.nonzero(drawn.any(1))[0].max())
    columns = np.arange(core.shape[1])
    sides = (columns < axis, columns >= axis)
    lowest = []
    for side in sides:
        hanging = np.nonzero((core[:, side] > 0).sum(1) > 0.06 * face_width_px)[0]
        lowest.append(float(hanging.max()) if len(hanging) else -1.0)
    if max(lowest) < fallen_row(chin, end, face_width_px):
        return None
    top = max(ears_row - _BEGINS_PX, 0)
    rows = np.arange(top, int(max(lowest)) + 1)
    edges = []
    for side, sign in zip(sides, (-1, 1), strict=True):
        beside = ((core > 0) | drawn)[rows] & side
        outer = np.where(sign < 0, beside.argmax(1), len(columns) - 1 - beside[:, ::-1].argmax(1)).astype(float)
        outer[~beside.any(1)] = axis + sign * _NECK_HALF * face_width_px
        steady = median_filter(outer, min(31, len(rows) // 2 * 2 + 1), mode="nearest")
        aside = _widening(_NARROWER * sign * (steady - axis), drawn[rows] & side, axis)
        edges.append(axis + sign * gaussian_filter1d(aside, 8, mode="nearest"))
    # Where hair falls on one side alone, the rest of it ends at the nape.
    ends = [max(low, chin + 0.1 * face_width_px) - top for low in lowest]
    return CurtainOutline(top, edges[0], edges[1], (ends[0], ends[1]))


def _widening(aside: Float64[np.ndarray, " r"], drawn: HardMask, axis: float) -> Float64[np.ndarray, " r"]:
    """Distances [r] from the axis that start at the head's own outline and grow no faster than hair spreads: the
    curtain's upper corners would stand out beside the head."""
    head = np.nonzero(drawn[0])[0]
    reach = np.abs(head - axis).max() * _NARROWER if len(head) else aside[0]
    slope = _SPREAD * np.arange(len(aside))
    return np.asarray(np.minimum.accumulate(np.append(np.minimum(aside[:1], reach), aside[1:]) - slope) + slope)


def make_curtain(
    surface: HeadSurface,
    pose: OwnPose,
    picture: PreparedPhotograph,
    part: Part,
    outline: CurtainOutline,
    edges: tuple[Float64[NDArray[np.float64], "r 3"], Float64[NDArray[np.float64], "r 3"]],
    transform: Float32[NDArray[np.float32], "4 4"],
    face_width_px: float,
) -> Curtain:
    """The curtain between two edges.

    Args:
        edges: [r, 3] world positions of the outline's left and right edge.
        transform: [4, 4], rest pose to world, of the joint that turns the head.
    """
    steps = np.arange(0, len(outline.left), _NODE_PX)
    left, right = (_in_head(edge[steps], transform) for edge in edges)
    back = _back_of_head(surface, pose, transform, 0.5 * (left + right)[:, 1])
    angle = np.linspace(0, np.pi, _ACROSS // 12)[None, :, None]
    middle, half = 0.5 * (left + right), 0.5 * (right - left)
    deep = np.zeros_like(middle)
    deep[:, 2] = np.minimum(back - middle[:, 2], -0.01)
    local = middle[:, None] - np.cos(angle) * half[:, None] + np.sin(angle) * deep[:, None]
    # Strands beside the chin hang as far forward as the chin; what hangs beside the neck must not swing before it.
    local[..., 2] = np.minimum(local[..., 2], middle[0, 2] + _FORWARD_M)
    axis = (middle + 0.3 * deep)[:, None] - local
    inwards = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-6)
    world = local @ transform[:3, :3].T.astype(np.float64) + transform[:3, 3]
    texture = _texture(pose, picture, part, outline, world, face_width_px)
    return Curtain(world, inwards @ transform[:3, :3].T, outline.top + steps.astype(float), texture)


def _in_head(world: Float64[np.ndarray, "n 3"], transform: Float32[np.ndarray, "4 4"]) -> Float64[np.ndarray, "n 3"]:
    """World positions [n, 3] in the head's own rest frame."""
    return np.asarray((world - transform[:3, 3]) @ transform[:3, :3], np.float64)


def _back_of_head(
    surface: HeadSurface, pose: OwnPose, transform: Float32[np.ndarray, "4 4"], heights: Float64[np.ndarray, " r"]
) -> Float64[np.ndarray, " r"]:
    """z of what falls from the back of the head at heights [r] (rest frame, metres): straight down from its widest."""
    head = surface.outer & (surface.head_share > 0.85)
    points = _in_head(pose.vertices[head].astype(np.float64), transform)
    above = [points[points[:, 1] > height - 0.01, 2] for height in heights]
    lowest = [float(np.quantile(z, 0.002)) if len(z) else float(points[:, 2].min()) for z in above]
    return np.minimum.accumulate(np.array(lowest)) + _INSIDE_M


def _texture(
    pose: OwnPose,
    picture: PreparedPhotograph,
    part: Part,
    outline: CurtainOutline,
    world: Float64[np.ndarray, "nodes across 3"],
    face_width_px: float,
) -> Float32[np.ndarray, "r c 4"]:
    rows = len(outline.left)
    hair = picture.masks[part] * picture.solid
    tone = _tone(picture, hair, outline)
    example = read_example(picture.rgb, hair)
    noise = strand_noise(np.random.default_rng(_SEED), _ACROSS, rows)
    relief = 0.1 * noise if example is None else detail_like(example, rows, _ACROSS, _SEED)
    rgb = np.clip(tone * (1 + np.clip(relief, -0.6, 0.8))[..., None], 0, 255)
    across = np.linspace(0, 1, _ACROSS)[None]
    end = outline.ends[0] * (1 - across) + outline.ends[1] * across
    left = end - np.arange(rows)[:, None]
    tips = smoothstep(left / max(outline.ends) + 0.05 * noise, 0.0, 0.16)
    sides = smoothstep(np.minimum(across, 1 - across), 0.0, 0.03)
    begins = smoothstep(np.arange(rows, dtype=np.float32)[:, None] + 0.2 * _BEGINS_PX * noise, 0.0, _BEGINS_PX)
    position = cv2.resize(world.astype(np.float32), (_ACROSS, rows), interpolation=cv2.INTER_LINEAR)
    pixels = project_vertices(position.reshape(-1, 3), pose.camera).reshape(position.shape)[..., :2]
    alpha = begins * tips * sides * sample(_may_hide(pose, picture, face_width_px), pixels)
    return np.concatenate([rgb, 255 * alpha[..., None]], -1).astype(np.float32)


def _may_hide(pose: OwnPose, picture: PreparedPhotograph, face_width_px: float) -> Field:
    """Where the photograph shows something that may have hair behind it: [h, w] in [0, 1].

    That is hair, headwear, and whatever the lifted head and neck are drawn before; neither background, nor a garment or
    a shoulder that the curtain would lie in front of.
    """
    before = np.isin(picture.masks.labels, COVERS) | ((pose.fragments.face >= 0) & (picture.clothes < 0.5))
    # A strip of collar between the neck and the strands would be a slit across hair that falls behind both.
    strip = cv2.morphologyEx(before.astype(np.uint8), cv2.MORPH_CLOSE, disk(_STRIP * face_width_px)) > 0
    before |= strip & (picture.masks.labels != Part.BACKGROUND)
    inner = cv2.blur(before.astype(np.float32), (3, 3))
    return np.asarray(np.minimum(inner, smoothstep(picture.matte, 0.3, 0.7)), np.float32)


def _tone(picture: PreparedPhotograph, hair: Field, outline: CurtainOutline) -> Float32[np.ndarray, "r w 3"]:
    """Colour by row and across: halfway between the hair of this height on either side and all of it, [r, w, 3]."""
    axis = int(np.clip(0.5 * (outline.left + outline.right).mean(), 1, hair.shape[1] - 1))
    rows = slice(outline.top, outline.top + len(outline.left))
    typical = (picture.rgb * hair[..., None]).sum((0, 1)) / max(float(hair.sum()), 1e-6)
    sides = []
    for columns in (slice(None, axis), slice(axis, None)):
        weight = hair[rows, columns]
        total = gaussian_filter1d((picture.rgb[rows, columns] * weight[..., None]).sum(1), 12, axis=0, mode="nearest")
        amount = gaussian_filter1d(weight.sum(1), 12, mode="nearest")[:, None] + 1.0
        sides.append((total + typical) / amount)
    across = smoothstep(np.linspace(0, 1, _ACROSS), 0.2, 0.8)[None, :, None]
    near = sides[0][:, None] * (1 - across) + sides[1][:, None] * across
    return np.asarray(0.5 * near + 0.5 * typical, np.float32)
