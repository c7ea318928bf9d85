"""Preparation of a subject's attachments: computed once and shared by all its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from numpy.typing import NDArray

from perse.data.attachment import Attachment

_LEVELS = 6


@dataclass(frozen=True)
class PreparedAttachments:
    """All attachments as one mesh, and their textures as one pile of mip levels.

    Attributes:
        vertices, normals, tangents: [v, 3] float32, rest pose.
        uvs: [v, 2] float32.
        head_weight, occlusion, gloss, gloss_exponent, anisotropy: [v] float32.
        faces: [t, 3] int32.
        owner: [t] int32, which attachment a triangle belongs to.
        winding: [t] float32, +1 where a triangle's counter-clockwise side is the side its normals point to, else −1.
        parts: [a] uint8, part of each attachment.
        opaque: [a] bool, whether every texel of an attachment is opaque.
        texels: [n, 4] uint8, all levels of all textures, one after another.
        levels: [a, l, 3] int32: first texel, height, width of each level.
    """

    vertices: Float32[NDArray[np.float32], "v 3"]
    normals: Float32[NDArray[np.float32], "v 3"]
    tangents: Float32[NDArray[np.float32], "v 3"]
    uvs: Float32[NDArray[np.float32], "v 2"]
    head_weight: Float32[NDArray[np.float32], " v"]
    occlusion: Float32[NDArray[np.float32], " v"]
    gloss: Float32[NDArray[np.float32], " v"]
    gloss_exponent: Float32[NDArray[np.float32], " v"]
    anisotropy: Float32[NDArray[np.float32], " v"]
    faces: Int32[NDArray[np.int32], "t 3"]
    owner: Int32[NDArray[np.int32], " t"]
    winding: Float32[NDArray[np.float32], " t"]
    parts: UInt8[NDArray[np.uint8], " a"]
    opaque: Bool[NDArray[np.bool_], " a"]
    texels: UInt8[NDArray[np.uint8], "n 4"]
    levels: Int32[NDArray[np.int32], "a l 3"]

    def __len__(self) -> int:
        """Number of attachments."""
        return len(self.parts)

    @property
    def bytes(self) -> int:
        """Size of all its arrays, bytes."""
        return sum(int(getattr(self, column.name).nbytes) for column in fields(self))


def prepare_attachments(attachments: Sequence[Attachment]) -> PreparedAttachments:
    """Join attachments for drawing; the order does not matter."""
    sizes = [len(item.vertices) for item in attachments]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    vertices = _joined([item.vertices for item in attachments], 3)
    normals = _joined([item.normals for item in attachments], 3)
    faces = np.concatenate(
        [np.zeros((0, 3), np.int32)]
        + [item.faces.astype(np.int32) + start for item, start in zip(attachments, starts, strict=False)]
    )
    texels, levels = _texture_pile([item.texture for item in attachments])
    return PreparedAttachments(
        vertices=vertices,
        normals=normals,
        tangents=_joined([item.tangents for item in attachments], 3),
        uvs=_joined([item.uvs for item in attachments], 2),
        head_weight=_joined([item.head_weight for item in attachments]),
        occlusion=_joined([item.occlusion for item in attachments]),
        gloss=np.repeat(np.array([item.gloss for item in attachments], np.float32), sizes),
        gloss_exponent=np.repeat(np.array([item.gloss_exponent for item in attachments], np.float32), sizes),
        anisotropy=np.repeat(np.array([item.anisotropy for item in attachments], np.float32), sizes),
        faces=faces,
        owner=np.repeat(np.arange(len(attachments), dtype=np.int32), [len(item.faces) for item in attachments]),
        winding=_winding(vertices, normals, faces),
        parts=np.array([item.part for item in attachments], np.uint8),
        opaque=np.array([bool((item.texture[..., 3] == 255).all()) for item in attachments], np.bool_),
        texels=texels,
        levels=levels,
    )


def _joined(arrays: Sequence[NDArray[np.float32]], columns: int | None = None) -> NDArray[np.float32]:
    empty = np.zeros((0,) if columns is None else (0, columns), np.float32)
    return np.ascontiguousarray(np.concatenate([empty, *arrays]), np.float32)


def _winding(
    vertices: NDArray[np.float32], normals: NDArray[np.float32], faces: NDArray[np.int32]
) -> NDArray[np.float32]:
    corners = vertices[faces]
    geometric = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.where((geometric * normals[faces].sum(1)).sum(1) < 0, -1, 1).astype(np.float32)


def _texture_pile(textures: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    pile = [np.zeros((0, 4), np.uint8)]
    levels = np.zeros((len(textures), _LEVELS, 3), np.int32)
    start = 0
    for index, texture in enumerate(textures):
        if texture.ndim != 3 or texture.shape[2] != 4 or texture.dtype != np.uint8:
            raise ValueError(f"a texture must be uint8 [h, w, 4], got {texture.dtype} {texture.shape}")
        for number, level in enumerate(_mip_levels(texture)):
            pile.append(level.reshape(-1, 4))
            levels[index, number] = start, *level.shape[:2]
            start += level.shape[0] * level.shape[1]
    return np.concatenate(pile), levels


def _mip_levels(texture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Successive halvings, averaged with premultiplied alpha so that clear texels lend no colour to hair tips."""
    levels = [texture]
    alpha = texture[..., 3:].astype(np.float32) / 255
    current = np.concatenate([texture[..., :3] * alpha, alpha], -1)
    while len(levels) < _LEVELS:
        size = (max(current.shape[1] // 2, 2), max(current.shape[0] // 2, 2))
        current = cv2.resize(current, size, interpolation=cv2.INTER_AREA)
        colour = current[..., :3] / np.maximum(current[..., 3:], 1e-4)
        straight = np.concatenate([colour, current[..., 3:] * 255], -1)
        levels.append(np.clip(np.round(straight), 0, 255).astype(np.uint8))
    return levels
