"""Sheets that hang off the head: long hair, long beards, brims, headphones in a picture without geometry for them.

The lifted mesh is one star-shaped surface around the skull. Pixels of the head that it does not reach become soft
sheets in the picture's plane, as deep as the head's outline beside them. They move with the head or the jaw, long hair
less and less towards the shoulders. What falls below the chin falls behind the neck too (see `curtain`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import Attachment
from perse.head import Joint
from perse.shapes import Colors, Field, HardMask
from perse.synthesis.procedural.animator.curtain import Curtain, make_curtain, trace_outline
from perse.synthesis.procedural.animator.hair_volume import falling_columns, joined
from perse.synthesis.procedural.animator.own_pose import OwnPose
from perse.synthesis.procedural.animator.projection import PreparedPhotograph
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.synthesis.procedural.animator.textured_grid import grid_attachment, picture_grid
from perse.synthesis.procedural.scene import Light

HANGING = (Part.HAIR, Part.BEARD, Part.HEADWEAR, Part.HEADPHONES, Part.EARRINGS)
AS_PHOTOGRAPHED = Light(np.array([1, 0, 0, 0, 0, 0, 0, 0, 0], np.float32))
"""The same from everywhere: sheets keep the brightness that the photograph gave them."""
_THIN = (Part.HEADPHONES, Part.EARRINGS)
_FALLING = (Part.HAIR, Part.HEADWEAR)
_CELL_PX = 6
_OVERLAP_PX = 6
_LEAST_PX = 60
_TAPER = 0.4
"""How far a lock is followed into its thin beginning, face widths: from the ears to the temples."""
_LEAST_LOCK = 0.03
"""Locks smaller than this, squared face widths, are left to the lifted head: turned, a scrap stands out like a pen."""
_BEYOND_PX, _FADE_PX = 64, 16
_TEMPLES = np.array([-0.5, -0.35])
"""Heights from the ears, face widths, over which long hair passes from the lifted head to the sheets: from the temples
on it stands off the cheek, and painted on the skin it would end at the ear when the head turns."""
_BEHIND_M, _BEFORE_M = 0.003, 0.004


@dataclass(frozen=True)
class HangingSheet:
    """A sheet and the joint that carries it."""

    attachment: Attachment
    joint: Joint


def head_drawn(surface: HeadSurface, pose: OwnPose) -> HardMask:
    """Mask of pixels where the lifted head, without its neck, is seen in the portrait's own pose."""
    share = pose.fragments.interpolate(surface.faces, surface.head_share[:, None])[..., 0]
    return np.asarray((pose.fragments.face >= 0) & (share > 0.85))


def ears_row(surface: HeadSurface, pose: OwnPose) -> int:
    """Row of the picture at the middle of the ears."""
    return int(pose.pixels[surface.ears if surface.ears.any() else surface.outer, 1].mean())


def hang_sheets(
    surface: HeadSurface,
    pose: OwnPose,
    picture: PreparedPhotograph,
    joints: Float32[NDArray[np.float32], "j 4 4"],
    face_width_px: float,
    end: int | None,
) -> tuple[HangingSheet, ...]:
    """Sheets for all parts that stick out of the lifted head.

    Args:
        joints: [j, 4, 4] rest-to-world transforms of the portrait's own pose.
        end: the photograph's last row if it ends within the crop.
    """
    head = _DrawnHead.of(pose, head_drawn(surface, pose))
    drawn = head.drawn
    temples = ears_row(surface, pose) + _TEMPLES * face_width_px
    below = smoothstep(np.arange(len(drawn), dtype=np.float32), *temples)[:, None]
    sheets = []
    for part in HANGING:
        there = _opaque(picture, part)
        if part is Part.HAIR:
            there = there * joined(there, drawn)
        # Strands before the cheek and the jaw hang as well: what is painted on the skin would turn away with it.
        falls = np.zeros(drawn.shape[1], bool)
        if part in _FALLING:
            falls = falling_columns(there, drawn, face_width_px, end)
        hangs = np.where(drawn, below * falls, 1)
        left = there * hangs
        shape = np.ones((2, 2) if part in _THIN else (7, 7), np.uint8)
        core = cv2.morphologyEx((left > 0.4).astype(np.uint8), cv2.MORPH_OPEN, shape)
        if part in _FALLING:
            core = _tapered(core, left > 0.4, round(_TAPER * face_width_px))
        if part is Part.HAIR:
            core = _without_scraps(core, _LEAST_LOCK * face_width_px**2)
        if core.sum() < _LEAST_PX:
            continue
        joint = Joint.JAW if part is Part.BEARD else Joint.NECK
        before = drawn & (hangs > 0)
        sheets.append(HangingSheet(_sheet(head, picture, part, core, before, joints[joint]), joint))
        if part in _FALLING and drawn.any():  # what is nearest is drawn first: the rest is not looked at behind it
            curtain = _curtain(surface, head, picture, part, core, joints[joint], face_width_px, end)
            sheets += [HangingSheet(layer, joint) for layer in curtain]
    return tuple(sheets)


def _tapered(core: NDArray[np.uint8], there: NDArray[np.bool_], reach_px: int) -> NDArray[np.uint8]:
    """A mask [h, w] of 0 or 1 continued along the thin ends of what it was opened from, `there` [h, w]: where a lock
    leaves the head's outline it begins with nothing, and would begin with a step."""
    grown = core
    for _ in range(reach_px):
        grown = cv2.dilate(grown, np.ones((3, 3), np.uint8)) * there.astype(np.uint8)
    return np.maximum(core, grown)


def _without_scraps(core: NDArray[np.uint8], least_px: float) -> NDArray[np.uint8]:
    """A mask [h, w] of 0 or 1 without its pieces smaller than this."""
    pieces, stats = cv2.connectedComponentsWithStats(core)[1:3]
    large = 1 + np.nonzero(stats[1:, cv2.CC_STAT_AREA] >= least_px)[0]
    return np.isin(pieces, large).astype(np.uint8)


@dataclass(frozen=True)
class _DrawnHead:
    """The head that sheets hang off, in the portrait's own pose.

    Attributes:
        drawn: [h, w], its pixels.
        behind, front: [h, w] metres, its depth continued beyond its outline, a little behind it and before it.
    """

    pose: OwnPose
    drawn: Bool[NDArray[np.bool_], "h w"]
    behind: Float32[NDArray[np.float32], "h w"]
    front: Float32[NDArray[np.float32], "h w"]

    @staticmethod
    def of(pose: OwnPose, drawn: NDArray[np.bool_]) -> _DrawnHead:
        index = distance_transform_edt(~drawn, return_distances=False, return_indices=True)
        depth = np.where(drawn, pose.fragments.depth, 0)[tuple(index)].astype(np.float32)
        smooth = cv2.GaussianBlur(depth, (0, 0), 6)
        behind = np.where(drawn, np.maximum(depth, smooth), smooth) + np.float32(_BEHIND_M)
        front = np.where(drawn, np.minimum(depth, smooth), smooth) - np.float32(_BEFORE_M)
        return _DrawnHead(pose, drawn, behind, front)

    def depth(self, before: HardMask) -> Field:
        """Where a sheet lies [h, w]: the head stays in front, but for the pixels `before` which the sheet lies."""
        share = cv2.GaussianBlur(before.astype(np.float32), (0, 0), 3)
        return np.asarray(self.behind + share * (self.front - self.behind), np.float32)


def _curtain(
    surface: HeadSurface,
    head: _DrawnHead,
    picture: PreparedPhotograph,
    part: Part,
    core: NDArray[np.uint8],
    transform: NDArray[np.float32],
    face_width_px: float,
    end: int | None,
) -> list[Attachment]:
    """The darker lining of what falls behind the neck, and that itself; none for what does not fall below the chin."""
    pose, drawn = head.pose, head.drawn
    middle = float(np.nonzero(drawn)[1].mean())
    outline = trace_outline(core, drawn, ears_row(surface, pose), middle, face_width_px, end)
    if outline is None:
        return []
    rows = np.arange(outline.top, outline.top + len(outline.left))
    edges = []
    for columns in (outline.left, outline.right):
        column = np.clip(columns.astype(int), 0, drawn.shape[1] - 1)
        edges.append(_unproject(pose, np.stack([columns, rows.astype(np.float64)], -1), head.behind[rows, column]))
    curtain = make_curtain(surface, pose, picture, part, outline, (edges[0], edges[1]), transform, face_width_px)
    return [_hung(piece, part, drawn, transform) for piece in (curtain.lining(), curtain)]


def _hung(curtain: Curtain, part: Part, drawn: NDArray[np.bool_], transform: NDArray[np.float32]) -> Attachment:
    rows, columns = curtain.world.shape[:2]
    weight = np.repeat(_follows(curtain.heights, part, drawn)[:, None], columns, 1)
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(1e-4, 1 - 1e-4, columns), indexing="ij")
    return _attached(
        f"{part.name.lower()} behind the neck", part, curtain.world, weight, np.stack([u, v], -1), curtain.texture,
        -curtain.inwards.mean((0, 1)), transform,
    )  # fmt: skip


def _follows(heights: Float64[np.ndarray, "*n"], part: Part, drawn: HardMask) -> Float32[np.ndarray, "*n"]:
    """How far what hangs at these pixel rows follows the head: long hair less and less towards the shoulders."""
    if part not in _FALLING or not drawn.any():
        return np.ones(heights.shape, np.float32)
    rows = np.nonzero(drawn)[0]
    return np.asarray(1 - 0.75 * smoothstep(heights, rows.max(), rows.max() + 0.35 * np.ptp(rows)), np.float32)


def _sheet(
    head: _DrawnHead,
    picture: PreparedPhotograph,
    part: Part,
    core: NDArray[np.uint8],
    before: NDArray[np.bool_],
    transform: NDArray[np.float32],
) -> Attachment:
    pose, drawn = head.pose, head.drawn
    reach = 2 * _OVERLAP_PX + 1
    grown = cv2.dilate(core, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    alpha = _opaque(picture, part) * np.clip(cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 2.0) * 1.6 - 0.3, 0, 1)
    grid = picture_grid(*_beyond_the_edge(picture.rgb, alpha), _CELL_PX, aside_px=1)
    pixels = grid.nodes - [1, 0]
    row, column = (np.clip(pixels[..., k].astype(int), 0, drawn.shape[1 - k] - 1) for k in (1, 0))
    world = _unproject(pose, pixels, head.depth(before)[row, column])
    weight = _follows(pixels[..., 1], part, drawn)
    normal = pose.eye - world.mean((0, 1))
    return _attached(f"hanging {part.name.lower()}", part, world, weight, grid.uvs, grid.texture, normal, transform)


def _beyond_the_edge(rgb: Colors, alpha: Field) -> tuple[Float32[np.ndarray, "h2 w2 3"], Float32[np.ndarray, "h2 w2"]]:
    """Strands or a cloth that the picture's edge cuts: mirrored below it and faded at its sides. Turned, they would end
    in a straight line. The picture becomes higher by `_BEYOND_PX` and wider by a clear column on either side."""
    aside = np.minimum(np.arange(alpha.shape[1]), np.arange(alpha.shape[1])[::-1])
    alpha = alpha * smoothstep(aside, 0, _FADE_PX)
    rgb = cv2.copyMakeBorder(rgb, 0, _BEYOND_PX, 1, 1, cv2.BORDER_REFLECT)
    alpha = cv2.copyMakeBorder(alpha, 0, _BEYOND_PX, 0, 0, cv2.BORDER_REFLECT)
    return rgb, cv2.copyMakeBorder(alpha, 0, 0, 1, 1, cv2.BORDER_CONSTANT, value=0)


def _attached(
    name: str,
    part: Part,
    world: Float64[np.ndarray, "r c 3"],
    weight: Float32[np.ndarray, "..."],
    uvs: Float64[np.ndarray, "r c 2"],
    texture: Float[np.ndarray, "h w 4"],
    normal: Float[np.ndarray, "..."],
    transform: Float32[np.ndarray, "4 4"],
) -> Attachment:
    """A grid of nodes [rows, columns, 3] in the portrait's own pose as an attachment, which lives in rest pose."""
    rest = _to_rest(world.reshape(-1, 3), weight.ravel(), transform).reshape(world.shape)
    normal = normal / np.linalg.norm(normal)
    return grid_attachment(name, part, rest, weight, uvs, texture, normal @ transform[:3, :3])


def _opaque(picture: PreparedPhotograph, part: Part) -> Field:
    """Alpha of a part [h, w]: soft against the background, but not against the clothes that it lies on."""
    alpha = picture.masks[part]
    return np.asarray(alpha + picture.masks[Part.CLOTHES] * (picture.masks.labels == part), np.float32)


def _unproject(
    pose: OwnPose, pixels: Float64[np.ndarray, "*n 2"], depth: Float32[np.ndarray, "*n"]
) -> Float64[np.ndarray, "*n 3"]:
    """Pixels [..., 2] at depths [...] to world points [..., 3]."""
    intrinsics = pose.camera.intrinsics.numpy().astype(np.float64)
    matrix = pose.camera.world_to_camera.numpy().astype(np.float64)
    homogeneous = np.concatenate([pixels, np.ones((*pixels.shape[:-1], 1))], -1)
    in_camera = homogeneous @ np.linalg.inv(intrinsics).T * depth[..., None]
    return (in_camera - matrix[:3, 3]) @ matrix[:3, :3]


def _to_rest(
    world: Float64[np.ndarray, "n 3"], weight: Float32[np.ndarray, " n"], transform: Float32[np.ndarray, "4 4"]
) -> Float32[np.ndarray, "n 3"]:
    """Rest positions [n, 3] that weight · transform + (1 − weight) · identity carries to `world`."""
    share = weight[:, None, None].astype(np.float64)
    matrices = share * transform[:3, :3] + (1 - share) * np.eye(3)
    shifted = world - weight[:, None] * transform[:3, 3]
    return np.linalg.solve(matrices, shifted[..., None])[..., 0].astype(np.float32)
