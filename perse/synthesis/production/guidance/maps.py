"""Guidance maps of every frame of a motion for a generator: FLAME depth, FLAME normals, keypoints, as pictures.

One set belongs to one person and one motion; all edits of a person share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt8

from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, pose_head
from perse.head.mesh_tools import vertex_normals
from perse.render.mesh import project_vertices, rasterize_mesh
from perse.shapes import Frames, SquarePicture
from perse.synthesis.production.guidance.keypoint_maps import (
    KeypointMaps,
    LandmarkKeypointMapsConfig,
    PictureKeypointMapsConfig,
)

KINDS = ("depth", "normals", "keypoints")
"""The maps, in the order that networks take them in."""


@dataclass(frozen=True)
class Guidance:
    """Guidance maps of every frame.

    Attributes:
        depth: [f, h, w, 3] grey: 255 nearest, black where the head is not.
        normals: [f, h, w, 3]: x to the picture's right, y up, z towards the camera, from [-1, 1] to [0, 255]; black
            where the head is not.
        keypoints: [f, h, w, 3]: face dots and coloured limbs on black.
    """

    depth: Frames
    normals: Frames
    keypoints: Frames

    def __len__(self) -> int:
        return len(self.depth)

    def stacked(self) -> UInt8[np.ndarray, "f kinds 3 h w"]:
        """Maps [f, kinds, 3, h, w], in the order of `KINDS`."""
        return np.stack([getattr(self, kind) for kind in KINDS], 1).transpose(0, 1, 4, 2, 3)


@dataclass(frozen=True, kw_only=True)
class GuidanceConfig:
    """Configuration of the maps."""

    reach_m: float = 0.16
    """Depth is shown this far before and behind the head's middle, from white to almost black."""
    keypoints: LandmarkKeypointMapsConfig | PictureKeypointMapsConfig = field(
        default_factory=LandmarkKeypointMapsConfig
    )
    """From the head's own landmarks, or found in pictures of the motion."""

    def build(self, head: HeadModel) -> GuidanceDrawer:
        return GuidanceDrawer(self, head, self.keypoints.build(head))


class GuidanceDrawer:
    """Drawer of maps of a head model by the mesh rasterizer."""

    def __init__(self, config: GuidanceConfig, head: HeadModel, keypoints: KeypointMaps) -> None:
        self._config, self._head, self._keypoints = config, head, keypoints
        self._faces = head.faces.numpy().astype(np.int32)

    def draw(
        self, motion: HeadParameters, cameras: Sequence[Camera], size_px: int, pictures: Frames | None = None
    ) -> Guidance:
        """Maps of a motion.

        Args:
            motion: [f] frames with the identity of the person.
            cameras: of every frame; square pictures, resized to `size_px`.
            pictures: [f, h, w, 3] of somebody performing the motion, for keypoints that are found in pictures.

        Raises:
            GenerationError: keypoints are to be found in pictures, and there are none or nobody is in one.
        """
        vertices = pose_head(self._head, motion).vertices
        depth, normals, keypoints = [], [], []
        for number, camera in enumerate(cameras):
            camera = camera.resized(size_px, size_px)
            one_depth, one_normals = self._geometry(vertices[number].numpy(), camera, size_px)
            depth.append(one_depth)
            normals.append(one_normals)
            picture = pictures[number] if pictures is not None else None
            keypoints.append(self._keypoints.draw(vertices[number], camera, picture))
        return Guidance(np.stack(depth), np.stack(normals), np.stack(keypoints))

    def _geometry(
        self, vertices: Float32[np.ndarray, "v 3"], camera: Camera, size_px: int
    ) -> tuple[SquarePicture, SquarePicture]:
        projected = project_vertices(vertices, camera)
        fragments = rasterize_mesh(projected, self._faces, size_px, size_px)
        seen = fragments.face >= 0
        middle, reach = float(projected[:, 2].mean()), self._config.reach_m
        nearness = np.where(seen, (middle + reach - np.where(seen, fragments.depth, 0)) / (2 * reach), 0)
        grey = np.where(seen, 8 + 247 * nearness.clip(0, 1), 0).round().astype(np.uint8)
        world = vertex_normals(vertices.astype(np.float64), self._faces.astype(np.int64))
        turned = world @ camera.world_to_camera[:3, :3].numpy().astype(np.float64).T
        facing = (turned * (1, -1, -1)).astype(np.float32)  # OpenCV's y is down and z away
        map_ = fragments.interpolate(self._faces, facing)
        map_ /= np.linalg.norm(map_, axis=-1, keepdims=True).clip(1e-6)
        coloured = np.where(seen[..., None], (map_ + 1) * 127.5, 0).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, -1), coloured
