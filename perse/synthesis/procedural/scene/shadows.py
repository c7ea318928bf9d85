"""Contact shadows and ambient occlusion from a few small depth maps, once per item.

A shadow that turns with the head is slightly wrong for the key light and exactly right for the ambient part, which is
most of what is seen under a brim; it costs nothing per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from perse.data.attachment import Attachment
from perse.render.mesh import rasterize_mesh
from perse.synthesis.procedural.scene.light import Light


@dataclass(frozen=True, kw_only=True)
class ShadowConfig:
    """Darkness and resolution of shadows."""

    key: float = 0.28
    """Light lost where the key light does not reach; much more makes a grey mask of the face (measured)."""
    ambient: float = 0.30
    """Light lost where attachments hide the whole sky."""
    resolution_px: int = 144
    """Side of a depth map."""
    bias_m: float = 0.005
    """A surface this close in front of a point does not shade it: the lining of a hat lies on the skin."""
    blur_px: float = 2.5
    """Softness of a shadow's edge, pixels of the depth map."""


def shadows_on(
    vertices: Float[NDArray[np.float32], "v 3"],
    normals: Float[NDArray[np.float32], "v 3"],
    attachments: Sequence[Attachment],
    light: Light,
    *,
    config: ShadowConfig | None = None,
) -> Float[NDArray[np.float32], " v"]:
    """Light that the attachments leave on other surfaces.

    Args:
        vertices, normals: [v, 3] float32, rest pose, metres and unit; usually the head's.
        attachments: those with `casts_shadow` darken.
        light: where the key light comes from; rest pose and world are taken to be aligned.

    Returns:
        [v] float32 multipliers in (0, 1]; 1 where nothing is in the way.
    """
    config = config or ShadowConfig()
    casters = [item for item in attachments if item.casts_shadow and len(item.faces)]
    if not casters:
        return np.ones(len(vertices), np.float32)
    opacity = float(np.mean([item.texture[..., 3].mean() / 255 for item in casters]))
    solid = _joined_surfaces([(item.vertices, item.faces) for item in casters])
    ambient, key = _blocked(vertices, normals, *solid, light, config)
    kept = (1 - config.ambient * opacity * ambient) * (1 - config.key * opacity * key)
    return kept.astype(np.float32)


def bake_occlusion(
    attachments: Sequence[Attachment],
    head_vertices: Float[NDArray[np.float32], "v 3"],
    head_faces: Int[NDArray[np.int32], "t 3"],
    light: Light,
    *,
    strength: float = 0.6,
    config: ShadowConfig | None = None,
) -> tuple[Attachment, ...]:
    """The same attachments with `occlusion` darkened where head and other attachments hide the sky.

    Args:
        head_vertices, head_faces: rest pose, metres; [v, 3] and [t, 3].
        strength: light lost under a sky that is wholly hidden.
    """
    config = config or ShadowConfig(bias_m=0.008)
    solid = _joined_surfaces(
        [(head_vertices, head_faces)] + [(item.vertices, item.faces) for item in attachments if item.casts_shadow]
    )
    baked = []
    for item in attachments:
        ambient, key = _blocked(item.vertices, item.normals, *solid, light, config)
        kept = (1 - strength * ambient) * (1 - 0.5 * strength * key)
        baked.append(replace(item, occlusion=(item.occlusion * kept).astype(np.float32)))
    return tuple(baked)


def self_occlusion(
    vertices: Float[NDArray[np.float32], "v 3"],
    normals: Float[NDArray[np.float32], "v 3"],
    faces: Int[NDArray[np.int32], "t 3"],
    light: Light,
    *,
    strength: float = 0.5,
    config: ShadowConfig | None = None,
) -> Float[NDArray[np.float32], " v"]:
    """Light [v] in (0, 1] that a surface leaves itself: folds of the ear, under the chin."""
    config = config or ShadowConfig(bias_m=0.006, blur_px=1.0, resolution_px=192)
    ambient, _ = _blocked(vertices, normals, vertices, faces, light, config)
    return (1 - strength * ambient).astype(np.float32)


def _joined_surfaces(
    surfaces: Sequence[tuple[NDArray[np.float32], NDArray[np.int32]]],
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    offset, faces = 0, []
    for vertices, triangles in surfaces:
        faces.append(np.asarray(triangles, np.int32) + np.int32(offset))
        offset += len(vertices)
    return np.concatenate([vertices for vertices, _ in surfaces]).astype(np.float32), np.concatenate(faces)


def _blocked(
    vertices: NDArray[np.float32],
    normals: NDArray[np.float32],
    blocker_vertices: NDArray[np.float32],
    blocker_faces: NDArray[np.int32],
    light: Light,
    config: ShadowConfig,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Share of the sky, and of the key light, that is hidden from each point: two [v] in [0, 1]."""
    hidden = np.zeros(len(vertices), np.float32)
    total = np.full(len(vertices), 0.5, np.float32)  # what faces the ground sees little sky and hardly changes
    for direction in _sky_directions():
        # Light from behind a surface does not reach it anyway: count directions by their cosine.
        cosine = np.clip(normals @ direction, 0, 1)
        hidden += cosine * _shadow(vertices, normals, blocker_vertices, blocker_faces, direction, config)
        total += cosine
    key = _shadow(vertices, normals, blocker_vertices, blocker_faces, light.direction, config)
    return hidden / total, key


def _sky_directions() -> NDArray[np.float32]:
    """Seventeen directions over the upper half of the sphere, [17, 3]."""
    directions = []
    for elevation, count in ((8.0, 8), (36.0, 6), (68.0, 3)):
        for azimuth in 2 * np.pi * np.arange(count) / count:
            ring = np.cos(np.deg2rad(elevation))
            directions.append([np.sin(azimuth) * ring, np.sin(np.deg2rad(elevation)), np.cos(azimuth) * ring])
    return np.array(directions, np.float32)


def _shadow(
    vertices: NDArray[np.float32],
    normals: NDArray[np.float32],
    blocker_vertices: NDArray[np.float32],
    blocker_faces: NDArray[np.int32],
    direction: NDArray[np.float32],
    config: ShadowConfig,
) -> NDArray[np.float32]:
    """How much of a distant light from `direction` is blocked at each point, [v] in [0, 1]."""
    axes = _light_axes(direction)
    blockers, points = blocker_vertices @ axes, (vertices + config.bias_m * 0.6 * normals) @ axes
    low, high = blockers.min(0), blockers.max(0)
    size = config.resolution_px
    margin = 4.0
    scale = (size - 2 * margin) / max(float((high - low)[:2].max()), 1e-6)
    nearest_m = 1.0  # any positive depth: the rasterizer drops what is behind the camera
    seen = np.stack(
        [
            (blockers[:, 0] - low[0]) * scale + margin,
            (blockers[:, 1] - low[1]) * scale + margin,
            high[2] - blockers[:, 2] + nearest_m,
        ],
        1,
    ).astype(np.float32)
    depth = rasterize_mesh(seen, blocker_faces, size, size, cull_backfaces=False).depth
    own = high[2] - points[:, 2] + nearest_m - config.bias_m
    x = (points[:, 0] - low[0]) * scale + margin
    y = (points[:, 1] - low[1]) * scale + margin
    blocked = np.zeros(len(points), np.float32)
    for shift_x in (-config.blur_px, 0.0, config.blur_px):
        for shift_y in (-config.blur_px, 0.0, config.blur_px):
            column = np.clip((x + shift_x).astype(np.int64), 0, size - 1)
            row = np.clip((y + shift_y).astype(np.int64), 0, size - 1)
            blocked += depth[row, column] < own
    return blocked / np.float32(9)


def _light_axes(direction: NDArray[np.float32]) -> NDArray[np.float32]:
    """[3, 3] whose columns are two axes across the light and the direction towards it."""
    towards = direction / np.linalg.norm(direction)
    across = np.cross([0.0, 1.0, 0.013], towards)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(towards, across), towards], 1).astype(np.float32)
