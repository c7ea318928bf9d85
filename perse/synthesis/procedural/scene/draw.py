"""Drawing of attachments into a frame: skinned, lit, textured, blended in the right order.

Every pixel keeps a list of the surface fragments that fall on it, what is already in the frame among them; the list
is sorted by depth and blended from the front until nothing shines through. So shells of hair, soft tips and a
half-covered edge of the head mix correctly whichever order things are drawn in. Edges are as soft as the caller's
supersampling makes them; textures bring their own mip levels.

Units of `Attachment`: `gloss` and `anisotropy` are fractions of white added where the highlight peaks. With rising
gloss the highlight takes the colour of the surface, as metals do, and the surroundings are mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from perse.data.attachment import Attachment
from perse.geometry.camera import Camera
from perse.render.mesh import project_vertices
from perse.synthesis.procedural.scene.buffers import FrameBuffers
from perse.synthesis.procedural.scene.kernels import collect_fragments, fragment_bound, resolve_fragments
from perse.synthesis.procedural.scene.light import Light
from perse.synthesis.procedural.scene.prepare import PreparedAttachments, prepare_attachments

OPAQUE = 0.996
"""From this alpha on, nothing behind is looked at: less than one of 255 levels could shine through."""


def draw_attachments(
    buffers: FrameBuffers,
    attachments: PreparedAttachments | Sequence[Attachment],
    neck_transform: Float[NDArray[np.float32], "4 4"],
    camera: Camera,
    light: Light,
) -> None:
    """Put attachments into the frame, in place.

    Args:
        buffers: the frame so far. `parts` and `depth` become the attachment's where it stops more than half of the
            light that reaches the eye.
        attachments: prepare them once when they are drawn more than once.
        neck_transform: [4, 4], rest pose to posed world of the neck joint (`PosedHead.transforms[Joint.NECK]`).
        camera: of the buffers' size.
        light: fixed in the world.

    Raises:
        ValueError: camera and buffers differ in size.
    """
    if (camera.width, camera.height) != (buffers.width, buffers.height):
        raise ValueError(
            f"the camera's image is {camera.width}×{camera.height}, the buffers are "
            f"{buffers.width}×{buffers.height}: use camera.resized"
        )
    prepared = attachments if isinstance(attachments, PreparedAttachments) else prepare_attachments(attachments)
    if len(prepared.faces) == 0:
        return
    positions, normals, tangents = _skinned(prepared, np.asarray(neck_transform, np.float32))
    diffuse, highlight = _shaded(prepared, positions, normals, tangents, _camera_centre(camera), light)
    pixels = project_vertices(positions, camera)
    capacity = fragment_bound(pixels, prepared.faces, camera.width, camera.height)
    heads, links, triangles, weights, depths, nearest_opaque, mips = collect_fragments(
        pixels, prepared.faces, prepared.owner, prepared.opaque, prepared.uvs, prepared.texels, prepared.levels,
        buffers.depth, buffers.alpha, np.float32(OPAQUE), capacity,
    )  # fmt: skip
    resolve_fragments(
        heads, links, triangles, weights, depths, nearest_opaque, mips,
        prepared.faces, prepared.owner, prepared.winding, prepared.parts, pixels, prepared.uvs, prepared.texels,
        prepared.levels, prepared.gloss, diffuse, highlight,
        buffers.rgb, buffers.alpha, buffers.parts, buffers.depth,
    )  # fmt: skip


def _skinned(
    prepared: PreparedAttachments, transform: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    weight = prepared.head_weight[:, None]
    rotation, shift = transform[:3, :3], transform[:3, 3]
    positions = prepared.vertices + weight * (prepared.vertices @ rotation.T + shift - prepared.vertices)
    normals = _unit(prepared.normals + weight * (prepared.normals @ rotation.T - prepared.normals))
    tangents = _unit(prepared.tangents + weight * (prepared.tangents @ rotation.T - prepared.tangents))
    return positions, normals, tangents


def _shaded(
    prepared: PreparedAttachments,
    positions: NDArray[np.float32],
    normals: NDArray[np.float32],
    tangents: NDArray[np.float32],
    eye: NDArray[np.float32],
    light: Light,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Diffuse factor and highlight of the front (column 0) and back (column 1) of every vertex: two [v, 2]."""
    view = _unit(eye - positions)
    towards = light.direction
    halfway = _unit(view + towards)
    along = (tangents * halfway).sum(1)
    strands = np.clip(1 - along * along, 0, 1) ** (prepared.gloss_exponent / 2)  # Kajiya & Kay 1989
    diffuse = np.empty((len(positions), 2), np.float32)
    highlight = np.empty((len(positions), 2), np.float32)
    for side, sign in enumerate((1.0, -1.0)):
        facing = np.float32(sign) * normals
        diffuse[:, side] = light.shade(facing) * prepared.occlusion
        peak = np.clip((facing * halfway).sum(1), 0, 1) ** prepared.gloss_exponent
        lit = np.clip((facing @ towards) * 0.7 + 0.4, 0, 1)
        mirrored = 2 * (facing * view).sum(1, keepdims=True) * facing - view
        shine = prepared.gloss * (peak + 0.4 * _surroundings(mirrored))
        highlight[:, side] = (shine + prepared.anisotropy * strands * lit) * prepared.occlusion
    return diffuse, highlight


def _surroundings(directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness of a plain room seen in a mirror: bright ceiling, dark floor, a window at each side; [v]."""
    height = np.clip(0.5 + 0.9 * directions[:, 1], 0, 1)
    window = np.clip(1 - np.abs(np.abs(directions[:, 0]) - 0.7) / 0.25, 0, 1)
    window *= np.clip(1 - np.abs(directions[:, 1] - 0.15) / 0.5, 0, 1)
    return np.clip(0.55 * height * height + 0.8 * window, 0, 1).astype(np.float32)


def _camera_centre(camera: Camera) -> NDArray[np.float32]:
    world_to_camera = camera.world_to_camera.numpy()
    return (-world_to_camera[:3, :3].T @ world_to_camera[:3, 3]).astype(np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)).astype(np.float32)
