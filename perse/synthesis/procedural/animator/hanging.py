"""What hangs off the head: long hair, long beards, brims, headphones in a picture that brings no geometry for them.

The lifted mesh is one star-shaped surface around the skull. Pixels of the head that it does not reach become soft
sheets in the picture's plane, as deep as the head's outline beside them. They move with the head or the jaw, long hair
less and less towards the shoulders.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from perse.attributes import Part
from perse.data import Attachment
from perse.head import Joint
from perse.synthesis.procedural.animator.fill import smoothstep
from perse.synthesis.procedural.animator.own_pose import OwnPose
from perse.synthesis.procedural.animator.projection import Picture
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.synthesis.procedural.scene import Light

Array = NDArray[np.float32]

HANGING = (Part.HAIR, Part.BEARD, Part.HEADWEAR, Part.HEADPHONES, Part.EARRINGS)
AS_PHOTOGRAPHED = Light(np.array([1, 0, 0, 0, 0, 0, 0, 0, 0], np.float32))
"""The same from everywhere: sheets keep the brightness that the photograph gave them."""
_THIN = (Part.HEADPHONES, Part.EARRINGS)
_CELL_PX = 6
_OVERLAP_PX = 6
_LEAST_PX = 60
_BEHIND_M = 0.003


@dataclass(frozen=True)
class HangingSheet:
    """A sheet and the joint that carries it."""

    attachment: Attachment
    joint: Joint


def head_drawn(surface: HeadSurface, pose: OwnPose) -> NDArray[np.bool_]:
    """Pixels where the lifted head, without its neck, is seen in the portrait's own pose."""
    head = np.asarray((surface.head_share[surface.faces] > 0.85).all(1))
    return np.asarray((pose.fragments.face >= 0) & head[pose.fragments.face])


def hang_sheets(
    surface: HeadSurface, pose: OwnPose, picture: Picture, joints: NDArray[np.float32]
) -> tuple[HangingSheet, ...]:
    """Sheets for all parts that stick out of the lifted head.

    Args:
        joints: [j, 4, 4] rest-to-world transforms of the portrait's own pose.
    """
    drawn = head_drawn(surface, pose)
    sheets = []
    for part in HANGING:
        left = picture.masks[part] * ~drawn
        shape = np.ones((2, 2) if part in _THIN else (7, 7), np.uint8)
        core = cv2.morphologyEx((left > 0.4).astype(np.uint8), cv2.MORPH_OPEN, shape)
        if core.sum() >= _LEAST_PX:
            joint = Joint.JAW if part is Part.BEARD else Joint.NECK
            attachment = _sheet(pose, picture, part, core, drawn, joints[joint])
            sheets.append(HangingSheet(attachment, joint))
    return tuple(sheets)


def _sheet(
    pose: OwnPose,
    picture: Picture,
    part: Part,
    core: NDArray[np.uint8],
    drawn: NDArray[np.bool_],
    transform: NDArray[np.float32],
) -> Attachment:
    reach = 2 * _OVERLAP_PX + 1
    grown = cv2.dilate(core, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    alpha = _opaque(picture, part) * np.clip(cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 2.0) * 1.6 - 0.3, 0, 1)
    rows, columns = np.nonzero(alpha > 0.02)
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    x = np.linspace(left, right, max(2, (right - left) // _CELL_PX + 1))
    y = np.linspace(top, bottom, max(2, (bottom - top) // _CELL_PX + 1))
    nodes = np.stack(np.meshgrid(x, y), -1)
    depth = _depth(pose, drawn)[
        np.clip(nodes[..., 1].astype(int), 0, len(drawn) - 1), np.clip(nodes[..., 0].astype(int), 0, len(drawn[0]) - 1)
    ]
    world = _unproject(pose, nodes, depth)
    weight = np.ones(nodes.shape[:2], np.float32)
    if part is Part.HAIR and drawn.any():
        chin = float(np.nonzero(drawn)[0].max())
        weight = 1 - 0.75 * smoothstep(nodes[..., 1], chin, chin + 0.35 * np.ptp(np.nonzero(drawn)[0]))
    normal = pose.eye - world.mean((0, 1))
    normal /= np.linalg.norm(normal)
    rest = _to_rest(world.reshape(-1, 3), weight.ravel(), transform)
    texture = np.concatenate([picture.rgb, 255 * alpha[..., None]], -1)[top:bottom, left:right]
    uvs = (nodes - [left, top]) / [right - left, bottom - top]
    uvs[..., 0] = np.clip(uvs[..., 0], 1e-4, 1 - 1e-4)  # u wraps around
    n = len(rest)
    return Attachment(
        name=f"hanging {part.name.lower()}",
        part=part,
        vertices=rest,
        normals=np.repeat((normal @ transform[:3, :3])[None], n, 0).astype(np.float32),
        tangents=np.repeat(np.array([[0, -1, 0]], np.float32), n, 0),
        faces=_grid_faces(len(y), len(x)),
        uvs=uvs.reshape(-1, 2).astype(np.float32),
        texture=np.clip(np.round(texture), 0, 255).astype(np.uint8),
        head_weight=weight.ravel().astype(np.float32),
        occlusion=np.ones(n, np.float32),
        casts_shadow=False,
    )


def _opaque(picture: Picture, part: Part) -> Array:
    """Alpha of a part [h, w]: soft against the background, but not against the clothes that it lies on."""
    alpha = picture.masks[part]
    return np.asarray(alpha + picture.masks[Part.CLOTHES] * (picture.masks.labels == part), np.float32)


def _depth(pose: OwnPose, drawn: NDArray[np.bool_]) -> Array:
    """Depth of the head's surface, continued beyond its outline, a little behind it: the head stays in front."""
    index = distance_transform_edt(~drawn, return_distances=False, return_indices=True)
    depth = np.where(drawn, pose.fragments.depth, 0)[tuple(index)].astype(np.float32)
    smooth = cv2.GaussianBlur(depth, (0, 0), 6)
    return np.where(drawn, np.maximum(depth, smooth), smooth) + np.float32(_BEHIND_M)


def _unproject(pose: OwnPose, pixels: NDArray[np.float64], depth: Array) -> NDArray[np.float64]:
    """Pixels [..., 2] at depths [...] to world points [..., 3]."""
    intrinsics = pose.camera.intrinsics.numpy().astype(np.float64)
    matrix = pose.camera.world_to_camera.numpy().astype(np.float64)
    homogeneous = np.concatenate([pixels, np.ones((*pixels.shape[:-1], 1))], -1)
    in_camera = homogeneous @ np.linalg.inv(intrinsics).T * depth[..., None]
    return (in_camera - matrix[:3, 3]) @ matrix[:3, :3]


def _to_rest(world: NDArray[np.float64], weight: Array, transform: NDArray[np.float32]) -> Array:
    """Rest positions [n, 3] that weight · transform + (1 − weight) · identity carries to `world`."""
    share = weight[:, None, None].astype(np.float64)
    matrices = share * transform[:3, :3] + (1 - share) * np.eye(3)
    shifted = world - weight[:, None] * transform[:3, 3]
    return np.linalg.solve(matrices, shifted[..., None])[..., 0].astype(np.float32)


def _grid_faces(rows: int, columns: int) -> NDArray[np.int32]:
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    return np.concatenate([np.stack([a, d, c], 1), np.stack([a, c, b], 1)])
