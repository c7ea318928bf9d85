"""Displacement of the mesh by an edit's landmarks, so that a wider nose is wide in profile too.

Only landmarks inside the edit count, and only the difference between two detections of the same detector, edited minus
original: its bias cancels.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.data import TrackedPortrait
from perse.shapes import Field, Picture
from perse.synthesis.procedural.animator.own_pose import OwnPose, sample_nearest
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.tracking.detection import landmarks_in_window

_SIGMAS_M = (0.012, 0.006)
_LEAST_PX = 0.6
"""Smaller moves are the detector's noise (pixels of the crop, face 160 px wide)."""
_MOST = 0.15
"""Larger ones (face widths) are a detector that lost the face."""


def follow_landmarks(
    surface: HeadSurface, portrait: TrackedPortrait, pose: OwnPose, image: Picture, mask: Field
) -> Float32[NDArray[np.float32], "n 3"]:
    """Displacement [n, 3] in rest pose, metres; zeros where nothing moved or no face is found."""
    still = np.zeros_like(surface.rest)
    moved_px = _moves(portrait, image, mask)
    ids = surface.model.landmark_ids.numpy()
    if moved_px is None or not len(ids):
        return still
    here = surface.model.landmarks(_torch(pose.vertices[: surface.model.n_vertices])).numpy()
    scale = np.array([pose.metres_per_pixel(point) for point in here[:1]])[0]
    moves = np.zeros_like(here)
    moves[:, :2] = moved_px[ids] * [scale, -scale]  # the camera's axes are the world's, y and z flipped
    world = np.zeros_like(surface.rest)
    left = moves
    for sigma in _SIGMAS_M:
        world += _spread(here, left, pose.vertices, sigma)
        left = moves - surface.model.landmarks(_torch(world[: surface.model.n_vertices])).numpy()
    return np.einsum("nij,nj->ni", np.linalg.inv(pose.rotations), world).astype(np.float32)


def _moves(portrait: TrackedPortrait, image: Picture, mask: Field) -> Float32[np.ndarray, "478 2"] | None:
    """How far each of the 478 landmarks moved, pixels [478, 2]; None without a face."""
    low, high = portrait.landmarks_px[:468, :2].min(0), portrait.landmarks_px[:468, :2].max(0)
    size = 1.25 * float((high - low).max())
    left, top = 0.5 * (low + high) - 0.5 * size
    before = landmarks_in_window(portrait.image, float(left), float(top), size)
    after = landmarks_in_window(image, float(left), float(top), size)
    if before is None or after is None:
        return None
    move = after[:, :2] - before[:, :2]
    length = np.linalg.norm(move, axis=1)
    inside = sample_nearest(mask, before[:, :2], outside=0.0) > 0
    used = inside & (length > _LEAST_PX) & (length < _MOST * portrait.face_width_px)
    return np.where(used[:, None], move, 0).astype(np.float32)


def _spread(
    points: Float32[np.ndarray, "l 3"],
    values: Float32[np.ndarray, "l 3"],
    targets: Float32[np.ndarray, "n 3"],
    sigma: float,
) -> Float32[np.ndarray, "n 3"]:
    """Gaussian-weighted mean of the values [l, 3] at points, fading to zero away from them: [n, 3]."""
    out = np.zeros_like(targets)
    low, high = points.min(0) - 3 * sigma, points.max(0) + 3 * sigma
    near = np.nonzero(((targets > low) & (targets < high)).all(1))[0]
    squared = ((targets[near][:, None] - points[None]) ** 2).sum(-1)
    weight = np.exp(-0.5 * squared / sigma**2)
    out[near] = (weight @ values) / (weight.sum(1, keepdims=True) + 0.3)
    return out


def _torch(values: Float32[np.ndarray, "..."]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
