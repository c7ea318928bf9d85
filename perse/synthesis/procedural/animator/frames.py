"""Drawing of a lifted portrait in any pose: body, head, attachments; supersampled, over white."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.data import Attachment
from perse.data.clip_file import Frame
from perse.geometry import Camera
from perse.head import HeadParameters, Joint, pose_head
from perse.render.mesh import MeshFragments, project_vertices, rasterize_mesh
from perse.shapes import Field
from perse.synthesis.procedural.animator.body import BodyLayer
from perse.synthesis.procedural.animator.canvas import paint_head, reduce_parts, vertex_normals
from perse.synthesis.procedural.animator.hanging import AS_PHOTOGRAPHED
from perse.synthesis.procedural.animator.lifted import LiftedPortrait
from perse.synthesis.procedural.scene import (
    FrameBuffers,
    Light,
    PreparedAttachments,
    draw_attachments,
    prepare_attachments,
)

_LEAST_SHARE = 0.75  # of the photograph's resolution, which the texture is made for
_LIDS_PAINTED = (0.08, 0.5)
"""Between these strengths of a blink the closed lid's texture comes in: half shut, lashes and fold are stretched."""
_BATCH = 32  # frames skinned at once: a few tens of megabytes


@dataclass(frozen=True)
class ClipSetting:
    """Setting of a clip: what stays the same for all its frames.

    Attributes:
        lifted: the portrait.
        camera: at the supersampled size; supersampling: its factor.
        blank: buffers with nothing but the body in them.
        texture: [h, w, 4] uint8, a copy of the lifted texture into which the lids are drawn.
        shade: [n] multipliers, shadows of attachments included.
        attachments: what is drawn onto the head: the joint that carries it, the things, and their light.
    """

    lifted: LiftedPortrait
    camera: Camera
    supersampling: int
    blank: FrameBuffers
    texture: UInt8[NDArray[np.uint8], "h w 4"]
    shade: Float32[NDArray[np.float32], " n"]
    attachments: tuple[tuple[Joint, PreparedAttachments, Light], ...]

    def wearing(self, attachments: Sequence[Attachment]) -> ClipSetting:
        """Setting with things that follow the neck, in the portrait's light."""
        worn = (Joint.NECK, prepare_attachments(attachments), self.lifted.light)
        return replace(self, attachments=(*self.attachments, worn))


def clip_setting(
    lifted: LiftedPortrait,
    size_px: int,
    supersampling: int,
    *,
    shadows: Float32[NDArray[np.float32], " n"] | None = None,
) -> ClipSetting:
    """Setting of a clip of frames `size_px` wide and high.

    Small frames are supersampled more than asked for, so that no texel of the head is skipped.
    """
    supersampling = max(supersampling, int(np.ceil(_LEAST_SHARE * lifted.camera.width / size_px)))
    side = size_px * supersampling
    return ClipSetting(
        lifted=lifted,
        camera=lifted.camera.resized(side, side),
        supersampling=supersampling,
        blank=_with_body(lifted.body.resized(side, side)),
        texture=lifted.texture.copy(),
        shade=lifted.shade if shadows is None else (lifted.shade * shadows).astype(np.float32),
        attachments=_sheets_by_joint(lifted),
    )


def _sheets_by_joint(lifted: LiftedPortrait) -> tuple[tuple[Joint, PreparedAttachments, Light], ...]:
    """Sheets that hang off the head follow the joint they name, with the light they show."""
    groups = []
    for joint in sorted({sheet.joint for sheet in lifted.sheets}):
        items = [sheet.attachment for sheet in lifted.sheets if sheet.joint == joint]
        groups.append((joint, prepare_attachments(items), AS_PHOTOGRAPHED))
    return tuple(groups)


def _with_body(body: BodyLayer) -> FrameBuffers:
    cover = body.alpha[..., None]
    solid = body.alpha > 0.5
    return FrameBuffers(
        rgb=(body.rgb * cover + 255 * (1 - cover)).astype(np.float32),
        alpha=body.alpha.astype(np.float32),
        parts=np.where(solid, body.labels, 0).astype(np.uint8),
        depth=np.where(solid, body.depth, np.inf).astype(np.float32),
    )


def draw_frames(setting: ClipSetting, motion: HeadParameters) -> Iterator[Frame]:
    """Frames of a motion (leading [f]); its identity is replaced by the portrait's."""
    motion = motion.with_identity(setting.lifted.head)
    for start in range(0, len(motion), _BATCH):
        batch = motion.frame(slice(start, start + _BATCH))
        posed = pose_head(setting.lifted.surface.model, batch)
        for index in range(len(batch)):
            transforms = posed.transforms[index].numpy()
            expression = batch.expression[index]
            vertices = drawn_vertices(setting.lifted, posed.vertices[index].numpy(), transforms, expression)
            _draw_lids(setting, expression)
            yield draw_frame(setting, vertices, transforms)


def draw_pose(setting: ClipSetting, pose: HeadParameters) -> tuple[FrameBuffers, Float32[NDArray[np.float32], "j 4 4"]]:
    """A single frame before it is reduced, and the joints' transforms [j, 4, 4] in it, for who draws on."""
    pose = pose.with_identity(setting.lifted.head)
    posed = pose_head(setting.lifted.surface.model, pose)
    transforms = posed.transforms[0].numpy()
    _draw_lids(setting, pose.expression[0])
    vertices = drawn_vertices(setting.lifted, posed.vertices[0].numpy(), transforms, pose.expression[0])
    return draw_buffers(setting, vertices, transforms), transforms


def drawn_vertices(
    lifted: LiftedPortrait,
    vertices: Float32[NDArray[np.float32], "v 3"],
    transforms: Float32[NDArray[np.float32], "j 4 4"],
    expression: Float[torch.Tensor, " e"] | None = None,
) -> Float32[NDArray[np.float32], "n 3"]:
    """Vertices [n, 3] of the refined posed head, with the displacement carried along by its skinning.

    Args:
        expression: [e], by which the lids come down to meet; without it they stay as the head model has them.
    """
    surface, displacement = lifted.surface, lifted.displacement
    if expression is not None:
        for lid in lifted.lids:
            displacement = displacement + float(expression[lid.expression]) * lid.shift
    drawn = surface.mixture @ vertices
    for joint in range(transforms.shape[0]):
        rotated = displacement @ transforms[joint, :3, :3].T
        drawn += surface.weights[:, joint : joint + 1] * rotated
    return drawn.astype(np.float32)


def _draw_lids(setting: ClipSetting, expression: torch.Tensor) -> None:
    """Blend the closed lids into the texture by how far each eye is shut."""
    boxes = []
    for lid in setting.lifted.lids:
        height, width = lid.rgb.shape[:2]
        boxes.append((slice(lid.top, lid.top + height), slice(lid.left, lid.left + width)))
        setting.texture[boxes[-1]] = setting.lifted.texture[boxes[-1]]
    for lid, box in zip(setting.lifted.lids, boxes, strict=True):  # above the nose the two may overlap
        shut = float(smoothstep(np.asarray(expression[lid.expression], np.float32), *_LIDS_PAINTED))
        blend = shut * lid.weight
        setting.texture[box][..., :3] = np.round(setting.texture[box][..., :3] * (1 - blend) + lid.rgb * blend)


def draw_frame(
    setting: ClipSetting,
    vertices: Float32[NDArray[np.float32], "n 3"],
    transforms: Float32[NDArray[np.float32], "j 4 4"],
) -> Frame:
    """Frame drawn from posed vertices [n, 3] and joint transforms [j, 4, 4]."""
    return reduced(draw_buffers(setting, vertices, transforms), setting.supersampling)


def reduced(buffers: FrameBuffers, supersampling: int) -> Frame:
    """Drawn frame at its final size."""
    size = buffers.height // supersampling
    image = cv2.resize(buffers.rgb, (size, size), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(buffers.alpha, (size, size), interpolation=cv2.INTER_AREA)
    image, alpha = _bytes(image), _bytes(255 * alpha)
    parts = np.empty((size, size), np.uint8)
    reduce_parts(buffers.parts, alpha, supersampling, parts)
    return Frame(image, alpha, parts)


def _bytes(values: Float32[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def draw_buffers(
    setting: ClipSetting,
    vertices: Float32[NDArray[np.float32], "n 3"],
    transforms: Float32[NDArray[np.float32], "j 4 4"],
) -> FrameBuffers:
    """Buffers with body, then head, then attachments, at the supersampled size."""
    lifted, surface, blank = setting.lifted, setting.lifted.surface, setting.blank
    buffers = FrameBuffers(blank.rgb.copy(), blank.alpha.copy(), blank.parts.copy(), blank.depth.copy())
    pixels = project_vertices(vertices, setting.camera)
    fragments = rasterize_mesh(pixels, surface.faces, setting.camera.width, setting.camera.height)
    paint_head(
        fragments.depth, fragments.face, fragments.weights, surface.faces, lifted.corner_uvs, setting.texture,
        lifted.dressed, lifted.rim, lifted.labels, _facing(setting, vertices), setting.shade, _outline(fragments),
        buffers.rgb, buffers.alpha, buffers.parts, buffers.depth,
    )  # fmt: skip
    for joint, attachments, light in setting.attachments:
        draw_attachments(buffers, attachments, transforms[joint], setting.camera, light)
    return buffers


def _outline(fragments: MeshFragments) -> Field:
    """1 along the head's outline in the picture, 0 inside: soft hair must not let the background through a fold."""
    drawn = (fragments.face >= 0).astype(np.float32)
    return np.clip(4 * (1 - cv2.blur(drawn, (15, 15))), 0, 1)


def _facing(setting: ClipSetting, vertices: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
    matrix = setting.camera.world_to_camera.numpy()
    view = -matrix[:3, :3].T @ matrix[:3, 3] - vertices
    normals = vertex_normals(vertices, setting.lifted.surface.faces)
    return ((normals * view).sum(1) / np.linalg.norm(view, axis=1)).astype(np.float32)
