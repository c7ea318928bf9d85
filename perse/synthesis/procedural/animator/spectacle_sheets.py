"""Spectacles in three dimensions: the photograph's frame on a curved surface before the eyes, and temples to the ears.

The frame is taken out of the skin's texture (`perse.tracking.spectacles.without_spectacles`) and drawn as a sheet that
moves rigidly with the head, so that it shifts against the face when that turns, and eyes close behind it. What lies
between the rims stays with the face: clear glass has no look of its own.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy.spatial import cKDTree

from perse.attributes import Part
from perse.data import Attachment, TrackedPortrait
from perse.head import Joint, Region, pose_head, rest_vertices
from perse.shapes import Colors, Field
from perse.synthesis.procedural.animator.hanging import HangingSheet
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.synthesis.procedural.animator.textured_grid import grid_attachment, picture_grid
from perse.tracking.spectacles import Spectacles, without_spectacles

_CELL_PX = 4
_VERTEX_DISTANCE_M = 0.010
"""From the cornea to the frame; opticians fit lenses 12 to 14 mm before it, and frames lie on the lenses' near side."""
_CLEARANCE_M = 0.0015
_CURVATURE_PER_M = 1.6
"""The front falls back by this times the square of the distance from its middle: 7 mm at its ends."""
_TEMPLE_M = 0.0026
"""Height of a temple."""
_TEMPLE_STEPS = 12
_HINGE_WIDTHS = 0.08
"""How far from a hinge the temple's colour is looked for, face widths."""


def spectacle_sheets(
    surface: HeadSurface, portrait: TrackedPortrait, found: Spectacles | None
) -> tuple[HangingSheet, ...]:
    """Sheets of the frame's front and its two temples, or nothing. They hang on the portrait alone, not on an edit of
    it."""
    if found is None or not (found.alpha > 0.3).any():
        return ()
    rest = (surface.mixture @ rest_vertices(surface.model, portrait.head).numpy()).astype(np.float32)
    neck = pose_head(surface.model, portrait.head).transforms[Joint.NECK].numpy()
    eye, rays = _rays(portrait, neck)
    front = _Front(surface, rest, eye, rays, found)
    color, alpha = _unmixed(portrait, found)
    pieces = [_front_sheet(front, color, alpha)]
    for hinge in found.hinges:
        shown = _color_near(hinge, color, alpha, _HINGE_WIDTHS * portrait.face_width_px)
        pieces.append(_temple(surface, rest, front.at(hinge[None])[0], shown))
    return tuple(HangingSheet(piece, Joint.NECK) for piece in pieces)


class _Front:
    """The surface that the frame's front lies on, in the head's rest pose: z falls with the square of x.

    It clears eyes by what opticians leave, and the nose and brows that the frame covers.
    """

    def __init__(
        self,
        surface: HeadSurface,
        rest: Float32[np.ndarray, "n 3"],
        eye: Float64[np.ndarray, "3"],
        rays: Float64[np.ndarray, "3 3"],
        found: Spectacles,
    ) -> None:
        self._eye, self._rays = eye, rays
        eyes = np.isin(surface.model.regions.numpy(), (Region.LEFT_EYE, Region.RIGHT_EYE))
        cornea = rest[: len(eyes)][eyes]
        self._middle = float(cornea[:, 0].mean())
        self._level = float(cornea[:, 2].max()) + _VERTEX_DISTANCE_M
        rows, columns = np.nonzero(found.alpha > 0.3)
        covered = self.at(np.stack([columns, rows], 1) + 0.5)
        skin = rest[surface.outer]
        near = np.abs(skin[:, 0] - self._middle) < 0.5 * np.ptp(covered[:, 0])
        skin = skin[near & (skin[:, 2] > cornea[:, 2].min())]
        away, nearest = cKDTree(skin[:, :2]).query(covered[:, :2])
        close = away < 0.004
        bulge = skin[nearest, 2] + _CURVATURE_PER_M * (covered[:, 0] - self._middle) ** 2
        if close.any():
            self._level = max(self._level, float(np.quantile(bulge[close], 0.98)) + _CLEARANCE_M)

    def at(self, pixels: Float[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 3"]:
        """Where pixels [n, 2] of the photograph meet the surface, [n, 3] metres, rest pose."""
        homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], 1)
        direction = homogeneous @ self._rays.T
        x = np.full(len(pixels), self._middle)
        for _ in range(6):  # the front is nearly flat: the iteration contracts at once
            depth = self._level - _CURVATURE_PER_M * (x - self._middle) ** 2
            reach = (depth - self._eye[2]) / direction[:, 2]
            x = self._eye[0] + reach * direction[:, 0]
        return (self._eye + reach[:, None] * direction).astype(np.float32)


def _rays(
    portrait: TrackedPortrait, neck: Float32[np.ndarray, "4 4"]
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
    """The camera's centre [3] and the matrix [3, 3] from homogeneous pixels to directions, in the head's rest pose."""
    matrix = portrait.camera.world_to_camera.numpy().astype(np.float64)
    intrinsics = portrait.camera.intrinsics.numpy().astype(np.float64)
    centre = -matrix[:3, :3].T @ matrix[:3, 3]
    turned = neck[:3, :3].astype(np.float64).T
    return turned @ (centre - neck[:3, 3]), turned @ matrix[:3, :3].T @ np.linalg.inv(intrinsics)


def _unmixed(portrait: TrackedPortrait, found: Spectacles) -> tuple[Colors, Field]:
    """The frame's colour [h, w, 3] and opacity [h, w]: over the skin that was continued, they give the photograph."""
    image, behind = portrait.image.astype(np.float32), without_spectacles(portrait.image, found).astype(np.float32)
    color = cv2.erode(image, np.ones((3, 3), np.uint8))
    taken = ((behind - image) * (behind - color)).sum(-1) / np.maximum(((behind - color) ** 2).sum(-1), 60.0)
    return color, np.clip(taken, 0, 1) * np.clip(2.5 * found.alpha, 0, 1)


def _color_near(
    hinge: Float32[np.ndarray, "2"], color: Colors, alpha: Field, reach_px: float
) -> Float32[np.ndarray, "3"]:
    """The frame's colour near a hinge [2], [3]: the darker half of what is surely frame."""
    rows, columns = np.nonzero(alpha > 0.4)
    if not len(rows):
        rows, columns = np.nonzero(alpha > 0.02)
    away = np.hypot(columns - hinge[0], rows - hinge[1])
    near = away <= max(reach_px, float(away.min()) + 1)
    seen = color[rows[near], columns[near]]
    level = seen.mean(1)
    return np.asarray(seen[level <= np.median(level)].mean(0), np.float32)


def _front_sheet(front: _Front, color: Colors, alpha: Field) -> Attachment:
    grid = picture_grid(color, alpha, _CELL_PX)
    vertices = front.at(grid.nodes.reshape(-1, 2)).reshape(*grid.nodes.shape[:2], 3)
    return _rigid("spectacles", vertices, grid.uvs, grid.texture)


def _temple(
    surface: HeadSurface,
    rest: Float32[np.ndarray, "n 3"],
    start: Float32[np.ndarray, "3"],
    color: Float32[np.ndarray, "3"],
) -> Attachment:
    """A strip from the hinge [3] to the upper end of the ear on its side, just outside of the skin."""
    side = np.sign(start[0])
    ear = rest[surface.ears & (np.sign(rest[:, 0]) == side)]
    end = start + np.array([0, 0, -0.09], np.float32)
    if len(ear):
        upper = ear[ear[:, 1] > np.quantile(ear[:, 1], 0.8)]
        end = np.array([side * np.abs(upper[:, 0]).mean(), upper[:, 1].mean(), upper[:, 2].mean()], np.float32)
    along = np.linspace(0, 1, _TEMPLE_STEPS)[:, None]
    middle = start + along * (end - start)
    skin = rest[surface.outer & (np.sign(rest[:, 0]) == side) & ~surface.ears]
    nearest = cKDTree(skin[:, 1:]).query(middle[:, 1:], k=4)[1]
    reach = np.maximum(np.abs(middle[:, 0]), np.abs(skin[nearest, 0]).max(1) + _CLEARANCE_M)
    middle[1:, 0] = side * reach[1:]
    half = np.array([0, _TEMPLE_M / 2, 0], np.float32)
    strip = np.stack([middle + half, middle - half])
    uvs = np.stack(np.meshgrid(np.linspace(0.1, 0.9, _TEMPLE_STEPS), [0.1, 0.9]), -1)
    texture = np.full((4, 4, 4), 255, np.float32)
    texture[..., :3] = color
    return _rigid("temple", strip, uvs, texture)


def _rigid(
    name: str,
    vertices: Float[np.ndarray, "r c 3"],
    uvs: Float[np.ndarray, "r c 2"],
    texture: Float32[np.ndarray, "h w 4"],
) -> Attachment:
    """A grid [rows, columns, 3] that follows the head wholly and looks forward."""
    forward, whole = np.array([0, 0, 1], np.float32), np.ones(vertices.shape[:2], np.float32)
    return grid_attachment(name, Part.SKIN, vertices, whole, uvs, texture, forward)
