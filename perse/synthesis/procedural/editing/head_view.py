"""View of the fitted head by the portrait's camera, for 3D edits of the photograph."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32
from numpy.typing import NDArray

from perse.data import TrackedPortrait
from perse.geometry import Camera
from perse.head import HeadModel, Joint, Region, pose_head, rest_vertices
from perse.render.mesh import MeshFragments, project_vertices, rasterize_mesh
from perse.shapes import Field
from perse.synthesis.procedural.attachments.surfaces import unit
from perse.synthesis.procedural.scene import Light, fit_light, self_occlusion

SUPERSAMPLING = 2
_CHIN_LANDMARK = 152
_HEAD_SHARE = 0.35
"""Vertices that follow the neck joint less than this are shoulders: clothes cover them in most portraits."""


@dataclass(frozen=True)
class HeadView:
    """Posed head mesh in the picture, without shoulders.

    Attributes:
        camera: the portrait's.
        neck_transform: [4, 4] rest pose to posed world.
        faces: [t, 3] int32, of the head without shoulders.
        rest, rest_normals: [v, 3] metres and unit, before expression and pose.
        openness: [v] in (0, 1], light that the head leaves itself.
        coverage: [h, w] in [0, 1], how much of each pixel the head (with neck, without shoulders) covers.
        ears, neck: [h, w] in [0, 1], the part of the coverage that shows ears and neck.
        normals_px: [h, w, 3] world normals of what is seen; zeros where nothing is.
        rest_px: [h, w, 3] rest-space points of what is seen, metres; zeros where nothing is.
        depth_px: [s h, s w] camera depth in metres, +inf beside the head; s = `SUPERSAMPLING`.
        light: read off the portrait's skin.
    """

    camera: Camera
    neck_transform: Float32[NDArray[np.float32], "4 4"]
    faces: Int32[NDArray[np.int32], "t 3"]
    rest: Float32[NDArray[np.float32], "v 3"]
    rest_normals: Float32[NDArray[np.float32], "v 3"]
    openness: Float32[NDArray[np.float32], " v"]
    coverage: Field
    ears: Field
    neck: Field
    normals_px: Float32[NDArray[np.float32], "h w 3"]
    rest_px: Float32[NDArray[np.float32], "h w 3"]
    depth_px: Float32[NDArray[np.float32], "sh sw"]
    light: Light
    fragments: MeshFragments

    @classmethod
    def of(cls, portrait: TrackedPortrait, model: HeadModel) -> HeadView:
        """View of the portrait's own head in its own pose, through the portrait's camera."""
        posed = pose_head(model, portrait.head)
        rest = rest_vertices(model, portrait.head).numpy().astype(np.float32)
        all_faces = model.faces.numpy().astype(np.int32)
        vertices = posed.vertices.numpy().astype(np.float32)
        normals, rest_normals = _vertex_normals(vertices, all_faces), _vertex_normals(rest, all_faces)
        follows = 1 - model.skinning_weights[:, Joint.GLOBAL].numpy()
        faces = all_faces[(follows[all_faces] > _HEAD_SHARE).all(1)]
        camera = portrait.camera
        fine = camera.resized(SUPERSAMPLING * camera.width, SUPERSAMPLING * camera.height)
        fragments = rasterize_mesh(project_vertices(vertices, fine), faces, fine.width, fine.height)
        seen = (fragments.face >= 0).astype(np.float32)
        regions = model.regions.numpy()
        of_vertex = np.concatenate(
            [normals, rest, (regions == Region.EARS)[:, None], _below_jaw(model, rest)[:, None]], 1
        ).astype(np.float32)
        shown = reduced(fragments.interpolate(faces, of_vertex))
        coverage = reduced(seen)
        inside = np.maximum(coverage, 1e-6)[..., None]
        normals_px = unit(shown[..., :3]) * (coverage > 0.25)[..., None]
        light = fit_light(portrait.image, portrait.masks, normals_px)
        return cls(
            camera=camera,
            neck_transform=posed.transforms[Joint.NECK].numpy().astype(np.float32),
            faces=faces,
            rest=rest,
            rest_normals=rest_normals,
            openness=self_occlusion(rest, rest_normals, faces, light),
            coverage=coverage,
            ears=np.clip(shown[..., 6], 0, 1),
            neck=np.clip(shown[..., 7], 0, 1),
            normals_px=normals_px,
            rest_px=(shown[..., 3:6] / inside * (coverage > 0)[..., None]).astype(np.float32),
            depth_px=fragments.depth,
            light=light,
            fragments=fragments,
        )

    def spread(self, values: Float32[NDArray[np.float32], " v"]) -> Field:
        """Picture [h, w] of per-vertex values [v] as they are seen; 1 where the head is not."""
        shown = reduced(self.fragments.interpolate(self.faces, values[:, None])[..., 0])
        return shown + (1 - self.coverage)

    def on_plane_through(self, centre: Float[NDArray[np.floating], "3"]) -> Float32[NDArray[np.float32], "h w 3"]:
        """Rest-space points [h, w, 3] of the pixels, on the plane through a rest-space point that faces the camera.

        A stand-in for the surface of what sticks out beside the head, such as hair.
        """
        matrix = self.neck_transform.astype(np.float64)
        world_to_camera = self.camera.world_to_camera.numpy().astype(np.float64)
        posed = matrix[:3, :3] @ np.asarray(centre, float) + matrix[:3, 3]
        depth = world_to_camera[2, :3] @ posed + world_to_camera[2, 3]
        rows, columns = np.mgrid[0 : self.camera.height, 0 : self.camera.width] + 0.5
        pixels = np.stack([columns, rows, np.ones_like(rows)], -1)
        in_camera = pixels @ np.linalg.inv(self.camera.intrinsics.numpy().astype(np.float64)).T * depth
        world = (in_camera - world_to_camera[:3, 3]) @ world_to_camera[:3, :3]
        return ((world - matrix[:3, 3]) @ matrix[:3, :3]).astype(np.float32)

    def project(self, rest_points: Float[NDArray[np.floating], "n 3"]) -> Float32[NDArray[np.float32], "n 3"]:
        """Pixel x, y and depth in metres, [n, 3], of rest-space points [n, 3] that move with the head."""
        matrix = self.neck_transform
        world = np.asarray(rest_points, np.float32) @ matrix[:3, :3].T + matrix[:3, 3]
        return project_vertices(world, self.camera)

    def depth_m(self, rest_point: Float[NDArray[np.floating], "3"]) -> float:
        """Camera depth of a rest-space point."""
        return float(self.project(np.asarray(rest_point)[None])[0, 2])

    def metres_per_pixel(self, rest_point: Float[NDArray[np.floating], "3"]) -> float:
        """Size of a pixel at a rest-space point."""
        return self.depth_m(rest_point) / float(self.camera.intrinsics[0, 0])


def _below_jaw(model: HeadModel, rest: Float32[NDArray[np.float32], "v 3"]) -> Bool[NDArray[np.bool_], " v"]:
    """Vertices of neck and nape: under a plane that rises from the chin towards the ears' lobes."""
    ids = model.landmark_ids.tolist()
    if _CHIN_LANDMARK in ids:
        index = ids.index(_CHIN_LANDMARK)
        corners = rest[model.faces[model.landmark_faces[index]].numpy()]
        chin = corners.T @ model.landmark_weights[index].numpy()
    else:
        skin = rest[(model.regions == Region.SKIN).numpy()]
        front = skin[np.abs(skin[:, 0]) < 0.01]
        chin = front[(front[:, 2] - 0.5 * front[:, 1]).argmax()]
    rise = np.clip(0.7 * (chin[2] - rest[:, 2]), 0, 0.055)
    return rest[:, 1] < chin[1] - 0.006 + rise


def _vertex_normals(
    vertices: Float32[NDArray[np.float32], "v 3"], faces: Int32[NDArray[np.int32], "t 3"]
) -> Float32[NDArray[np.float32], "v 3"]:
    corners = vertices[faces]
    of_face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], of_face)
    return unit(normals)


def reduced(fine: Float32[NDArray[np.float32], "sh sw *c"]) -> Float32[NDArray[np.float32], "h w *c"]:
    """A picture or mask at `SUPERSAMPLING` as means of its pixels."""
    size = (fine.shape[1] // SUPERSAMPLING, fine.shape[0] // SUPERSAMPLING)
    if fine.ndim == 2 or fine.shape[2] <= 4:
        return cv2.resize(fine, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.stack([reduced(fine[..., channel]) for channel in range(fine.shape[2])], -1)
