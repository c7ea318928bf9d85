"""Eyeballs: the photograph's iris and white, completed where the lids hide them, so that the gaze may move."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.render.mesh import project_vertices
from perse.shapes import Colors, Field, Vectors
from perse.synthesis.procedural.animator.fill import push_pull
from perse.synthesis.procedural.animator.front_map import FrontMap
from perse.synthesis.procedural.animator.own_pose import OwnPose, sample
from perse.synthesis.procedural.animator.projection import PreparedPhotograph
from perse.synthesis.procedural.animator.surface import HeadSurface

_IRIS_RADIUS_M = 0.0058  # horizontal visible iris diameter is 11.7 ± 0.5 mm in nearly all adults
_DEFAULT_SCLERA = np.array([214.0, 204.0, 198.0], np.float32)


def paint_eye(
    surface: HeadSurface,
    pose: OwnPose,
    picture: PreparedPhotograph,
    front: FrontMap,
    iris_px: Float32[NDArray[np.float32], "5 2"],
) -> Colors:
    """Texture of one eyeball, [h, w, 3] float32.

    Args:
        front: front map of the eyeball.
        iris_px: [5, 2] mediapipe's iris landmarks: centre and four points around it, pixels of the picture.
    """
    posed = front.fragments.interpolate(surface.faces, pose.vertices)
    pixels = project_vertices(posed.reshape(-1, 3), pose.camera)[:, :2].reshape(*posed.shape[:2], 2)
    opening = cv2.erode(picture.masks[Part.EYES], np.ones((3, 3), np.uint8))
    shown = smoothstep(sample(opening, pixels), 0.4, 0.9) * front.inside
    photo = sample(picture.rgb, pixels, sharp=True)
    radius = _iris_distance(front, pixels, iris_px)
    made = _completed(photo, shown, radius)
    keep = cv2.GaussianBlur(shown, (0, 0), 1.0)[..., None]
    painted = keep * photo + (1 - keep) * made
    return push_pull(np.clip(painted, 0, 255).astype(np.float32), front.inside.astype(np.float32))


def _scale_of(front: FrontMap) -> float:
    return _IRIS_RADIUS_M * front.scale


def _iris_distance(front: FrontMap, pixels: Vectors, iris_px: Float32[np.ndarray, "5 2"]) -> Field:
    """Distance of every texel from the iris's centre, in iris radii."""
    away = np.where(front.inside, np.linalg.norm(pixels - iris_px[0], axis=-1), np.inf)
    row, column = np.unravel_index(int(away.argmin()), away.shape)
    rows, columns = np.mgrid[: away.shape[0], : away.shape[1]]
    return (np.hypot(rows - row, columns - column) / _scale_of(front)).astype(np.float32)


def _completed(photo: Colors, shown: Field, radius: Field) -> Colors:
    """An eye with the colours of the visible part: iris by distance from its centre, white around it."""
    white = (shown > 0.7) & (radius > 1.25)
    sclera = _DEFAULT_SCLERA
    if white.sum() > 12:
        bright = photo[white]
        level = bright.mean(1)
        sclera = np.median(bright[level >= np.quantile(level, 0.5)], axis=0)
        sclera = 0.75 * sclera + 0.25 * _DEFAULT_SCLERA * (sclera.mean() / _DEFAULT_SCLERA.mean())
    bands = np.linspace(0, 1.1, 8)
    colors = np.zeros((len(bands), 3), np.float32)
    previous = np.array([30.0, 24.0, 22.0], np.float32)
    for index, band in enumerate(bands):
        ring = (shown > 0.5) & (np.abs(radius - band) < 0.12)
        previous = np.median(photo[ring], axis=0) if ring.sum() > 6 else previous
        colors[index] = previous
    iris = np.stack([np.interp(radius, bands, colors[:, k]) for k in range(3)], -1)
    outside = smoothstep(radius, 1.0, 1.22)[..., None]
    far = 1 - 0.22 * smoothstep(radius, 1.4, 2.6)[..., None]
    return (iris * (1 - outside) + sclera * far * outside).astype(np.float32)
