"""Distances of points from the silhouettes that the frames show."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from perse.avatar.observation import WatchedFrames
from perse.avatar.points import IdentityMesh
from perse.avatar.projection import visible_pixels
from perse.shapes import HardMask, SoftMask

PAD_PX = 64
"""A person goes on beyond the picture's border."""


def clearance(
    mesh: IdentityMesh, watched: WatchedFrames, subject: int, points: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, " n"]:
    """Least distance [n], metres, of points [n, 3] at rest from a subject's outline in all frames, inside of it."""
    still = torch.from_numpy(points).float()
    pixels = visible_pixels(still[None], mesh.near(still, rigid=True).skinning, watched.motion.rigid, watched.camera)
    away = watched.camera.to_camera(still)[:, 2].double().numpy()
    least = np.full(len(points), np.inf)
    for frame, alpha in zip(pixels, watched.alphas[subject], strict=True):
        inside = distance_inside(alpha > 200).reshape(-1)
        least = np.minimum(least, np.where(frame >= 0, inside[np.maximum(frame, 0)], np.inf))
    return np.asarray(least * away / float(watched.camera.intrinsics[0, 0]))


def inside_m(watched: WatchedFrames, subject: int, points: Float[Tensor, "n 3"]) -> Float64[np.ndarray, " n"]:
    """Distance [n], metres, of points [n, 3] that stand still from a subject's outline, inside of it; the picture's
    border is no outline."""
    camera = watched.camera
    pixels, away = camera.project(points)
    distance = distance_inside((watched.alphas[subject] > 200).all(0))
    column, row = np.clip(np.floor(pixels.numpy()).astype(int), 0, np.array(distance.shape)[::-1] - 1).T
    return np.asarray(distance[row, column] * away.double().numpy() / float(camera.intrinsics[0, 0]))


def distance_inside(person: HardMask) -> SoftMask:
    """Distance of every pixel [h, w] of a silhouette from its outline, pixels."""
    padded = np.pad(person.astype(np.uint8), PAD_PX, mode="edge")
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[PAD_PX:-PAD_PX, PAD_PX:-PAD_PX])
