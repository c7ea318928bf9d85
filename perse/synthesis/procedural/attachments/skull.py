"""Skull under the hair: how far the bare head reaches in every direction, and where its ears are.

Hats, headphones and hair are grids of directions around the head's centre, pushed out from this surface. It comes from
the fitted rest vertices without ears, so it fits the person and not the template; sockets and mouth are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from perse.head import HeadModel, HeadParameters, Joint, Region, rest_vertices

_STEP = np.deg2rad(2.0)
_AVERAGE_HALF_WIDTH_M = 0.0698  # of the embedded head's template, level with the centre, above its ears


def directions(
    azimuth: Float[np.ndarray, "..."] | float, elevation: Float[np.ndarray, "..."] | float
) -> Float[np.ndarray, "... 3"]:
    """Unit vectors [..., 3]; azimuth 0 is the face and grows to the person's left, elevation π/2 is the crown."""
    azimuth, elevation = np.broadcast_arrays(np.asarray(azimuth, float), np.asarray(elevation, float))
    flat = np.cos(elevation)
    return np.stack([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat], -1)


def angles(vectors: Float[np.ndarray, "*n 3"]) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Azimuth and elevation of vectors [..., 3] (any length), radians."""
    azimuth = np.arctan2(vectors[..., 0], vectors[..., 2])
    elevation = np.arctan2(vectors[..., 1], np.hypot(vectors[..., 0], vectors[..., 2]))
    return np.asarray(azimuth), np.asarray(elevation)


@dataclass(frozen=True)
class Skull:
    """Radius of a fitted head by direction. Rest space, metres.

    Attributes:
        centre: [3], in the middle of the brain case, a little above the eyes.
        radii: [elevations, azimuths], every 2°; elevation from −90° to 90°, azimuth from −180°.
        ears: [e, 3], vertices of both ears that stand out from the head; empty where the head model does not name them.
        lobes: [2, 3], where earrings are fixed: left, right.
        canals: [2, 3], where headphones sit: left, right.
        eye_y, chin_y, crown_y: heights.
        scale: size of this head over that of an average one; things are made for the average one.
    """

    centre: Float[np.ndarray, "3"]
    radii: Float[np.ndarray, "elevations azimuths"]
    ears: Float[np.ndarray, "e 3"]
    lobes: Float[np.ndarray, "2 3"]
    canals: Float[np.ndarray, "2 3"]
    eye_y: float
    chin_y: float
    crown_y: float
    scale: float

    @classmethod
    def fit(cls, model: HeadModel, parameters: HeadParameters) -> Skull:
        """The skull of a person; expression and pose are ignored."""
        rest = rest_vertices(model, parameters)
        joints = (model.joint_regressor @ rest).double().numpy()
        regions = model.regions.numpy()
        return cls.from_vertices(
            rest.double().numpy(),
            model.faces.numpy(),
            skin=regions == Region.SKIN,
            ears=regions == Region.EARS,
            eyes=joints[[Joint.LEFT_EYE, Joint.RIGHT_EYE]],
        )

    @classmethod
    def from_vertices(
        cls,
        vertices: Float[np.ndarray, "v 3"],
        faces: Int[np.ndarray, "t 3"],
        *,
        skin: Bool[np.ndarray, " v"],
        ears: Bool[np.ndarray, " v"],
        eyes: Float[np.ndarray, "2 3"],
    ) -> Skull:
        """Skull of rest vertices [v, 3], masks [v] of skin (without ears) and ears, and the eyes' centres [2, 3]."""
        eye = eyes.mean(0)
        above = vertices[skin & (vertices[:, 1] > eye[1])]
        crown_y = float(above[:, 1].max())
        height = eye[1] + 0.12 * (crown_y - eye[1])
        level = above[np.abs(above[:, 1] - height) < 0.25 * (crown_y - eye[1])]
        centre = np.array([eye[0], height, (level[:, 2].max() + level[:, 2].min()) / 2])
        samples = _outer_samples(vertices, faces, skin, centre)
        radii = _radius_grid(samples - centre)
        half_width = float(np.abs(level[:, 0] - centre[0]).max())
        scale = half_width / _AVERAGE_HALF_WIDTH_M
        pinnae = _standing_out(vertices[ears], centre, radii, 0.005 * scale)
        lobes, canals = _ear_points(pinnae, centre, eye, radii, scale)
        return cls(
            centre=centre,
            radii=radii,
            ears=pinnae,
            lobes=lobes,
            canals=canals,
            eye_y=float(eye[1]),
            chin_y=float(eye[1] - 1.05 * (crown_y - eye[1])),
            crown_y=crown_y,
            scale=scale,
        )

    def radius(self, towards: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
        """Radius [...] of the skin, without ears, in directions [..., 3] of any length, metres from the centre."""
        return look_up(self.radii, towards)

    def surface(
        self,
        azimuth: Float[np.ndarray, "..."],
        elevation: Float[np.ndarray, "..."],
        lift_m: Float[np.ndarray, "..."] | float = 0.0,
    ) -> Float[np.ndarray, "... 3"]:
        """Points [..., 3] at a height above the skin, along the direction from the centre."""
        towards = directions(azimuth, elevation)
        return self.centre + towards * (self.radius(towards) + lift_m)[..., None]

    def height_above(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
        """Height of points [..., 3] above the skin, metres, negative inside."""
        offsets = points - self.centre
        return np.linalg.norm(offsets, axis=-1) - self.radius(offsets)


def look_up(
    radii: Float[np.ndarray, "elevations azimuths"], towards: Float[np.ndarray, "*n 3"]
) -> Float[np.ndarray, "*n"]:
    """Values [...] of a radius table in directions [..., 3] of any length."""
    # Azimuth wraps; rows never leave the grid, so that they would wrap as well does not matter.
    rows, columns = _places(towards)  # without an axis of their own for a single direction, which scipy refuses
    values = map_coordinates(radii, np.stack([rows.ravel(), columns.ravel()]), order=1, mode="grid-wrap")
    return values.reshape(rows.shape)


def nearest_cells(
    radii: Float[np.ndarray, "elevations azimuths"], points: Float[np.ndarray, "n 3"]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Rows and columns [n] of a radius table that are nearest to the directions of points."""
    rows, columns = (np.round(places).astype(int) for places in _places(points))
    return rows, columns % radii.shape[1]


def _places(towards: Float[np.ndarray, "*n 3"]) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Fractional row and column of a radius table in each direction."""
    azimuth, elevation = angles(towards)
    return np.asarray((elevation + np.pi / 2) / _STEP), np.asarray((azimuth + np.pi) / _STEP)


def _outer_samples(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "t 3"],
    skin: Bool[np.ndarray, " v"],
    centre: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "n 3"]:
    """Points of the outer skin: vertices, edge middles and triangle centres that no other skin lies outside of."""
    outer = faces[skin[faces].all(1)]
    corners = vertices[outer]
    samples = np.concatenate(
        [vertices[np.unique(outer)], corners.mean(1), (corners + np.roll(corners, 1, 1)).reshape(-1, 3) / 2]
    )
    offsets = samples - centre
    distance = np.linalg.norm(offsets, axis=1)
    tree = cKDTree(offsets / distance[:, None])
    _, near = tree.query(offsets / distance[:, None], k=24)
    return samples[distance > 0.9 * distance[near].max(1)]


def _radius_grid(offsets: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "elevations azimuths"]:
    distance = np.linalg.norm(offsets, axis=1)
    tree = cKDTree(offsets / distance[:, None])
    azimuth = np.arange(-np.pi, np.pi - 1e-9, _STEP)
    elevation = np.linspace(-np.pi / 2, np.pi / 2, round(np.pi / _STEP) + 1)
    towards = directions(azimuth[None], elevation[:, None])
    gap, near = tree.query(towards.reshape(-1, 3), k=10)
    weight = 1 / (gap**2 + 4e-4)
    radii = ((weight * distance[near]).sum(1) / weight.sum(1)).reshape(towards.shape[:2])
    radii = gaussian_filter(radii, 1.0, mode=("nearest", "wrap"))
    radii[0], radii[-1] = radii[0].mean(), radii[-1].mean()
    return _enclosing(radii, offsets)


def _enclosing(
    radii: Float[np.ndarray, "elevations azimuths"], offsets: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "elevations azimuths"]:
    """Raised by a smooth field until the skin of the brain case lies inside: a hat must not be pierced by it."""
    case = offsets[offsets[:, 1] > 0]
    cells = nearest_cells(radii, case)
    for _ in range(4):
        lacking = np.maximum(np.linalg.norm(case, axis=1) - look_up(radii, case), 0)
        bumps = np.zeros_like(radii)
        np.maximum.at(bumps, cells, lacking)
        wide = np.maximum.reduce([np.roll(bumps, (i, j), (0, 1)) for i in (-2, -1, 0, 1, 2) for j in (-2, -1, 0, 1, 2)])
        radii = radii + gaussian_filter(wide, 1.0, mode=("nearest", "wrap"))
    return radii


def _standing_out(
    points: Float[np.ndarray, "n 3"],
    centre: Float[np.ndarray, "3"],
    radii: Float[np.ndarray, "elevations azimuths"],
    height_m: float,
) -> Float[np.ndarray, "m 3"]:
    """The ears proper: a head model's ear region may include the skin around them."""
    offsets = points - centre
    return points[np.linalg.norm(offsets, axis=-1) - look_up(radii, offsets) > height_m]


def _ear_points(
    ears: Float[np.ndarray, "n 3"],
    centre: Float[np.ndarray, "3"],
    eye: Float[np.ndarray, "3"],
    radii: Float[np.ndarray, "elevations azimuths"],
    scale: float,
) -> tuple[Float[np.ndarray, "2 3"], Float[np.ndarray, "2 3"]]:
    """Lobes and canals, left and right; guessed from the skull where the head model does not name the ears."""
    lobes, canals = [], []
    for sign in (1.0, -1.0):
        ear = ears[(ears[:, 0] - centre[0]) * sign > 0]
        if len(ear) < 8:
            towards = directions(sign * np.deg2rad(96.0), np.deg2rad(-28.0))
            side = centre + towards * (look_up(radii, towards) + 0.006 * scale)
            lobes.append(np.array([side[0], eye[1] - 0.045 * scale, side[2]]))
            canals.append(np.array([side[0], eye[1] - 0.008 * scale, side[2]]))
            continue
        lowest = ear[ear[:, 1] < ear[:, 1].min() + 0.16 * np.ptp(ear[:, 1])]
        outermost = lowest[np.abs(lowest[:, 0] - centre[0]).argmax(), 0]
        lobes.append(np.array([outermost, *lowest.mean(0)[1:]]))
        canals.append((ear.min(0) + ear.max(0)) / 2)
    return np.array(lobes), np.array(canals)
