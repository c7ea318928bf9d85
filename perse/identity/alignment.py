"""Aligned faces as dlib's recognition network wants them, cut out differentiably."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor
from torch.nn.functional import grid_sample

from perse.identity.dlib_network import CHIP_PX
from perse.identity.embedder import face_points
from perse.shapes import Picture

_PLACES = np.array(
    [(0.8596, 0.2135), (0.6461, 0.2290), (0.1206, 0.2137), (0.3341, 0.2291), (0.4901, 0.6278)], np.float64
)
"""Where dlib puts its five points (eye corners, left eye's outer first, and the base of the nose) in a face box."""
_MARGIN = 0.25
"""Of the box around it, on every side."""


def chip_transform(image: Picture) -> Float32[np.ndarray, "2 3"] | None:
    """Similarity [2, 3] from an aligned face's pixels to those of a picture [h, w, 3]; None without a face.

    Raises:
        MissingWeightsError: dlib or its models are not installed.
    """
    points = face_points(image)
    if points is None:
        return None
    wanted = (_PLACES + _MARGIN) / (1 + 2 * _MARGIN) * CHIP_PX
    return _similarity(wanted, points).astype(np.float32)


def aligned_faces(
    pictures: Float[Tensor, "f h w 3"], transforms: Float[Tensor, "f 2 3"]
) -> Float[Tensor, "f 150 150 3"]:
    """Faces [f, 150, 150, 3] of pictures [f, h, w, 3] by similarities [f, 2, 3]; bilinear, differentiable."""
    height, width = pictures.shape[1:3]
    steps = torch.arange(CHIP_PX, dtype=pictures.dtype, device=pictures.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    homogeneous = torch.stack([x, y, torch.ones_like(x)], -1)  # [150, 150, 3]
    places = homogeneous[None] @ transforms.to(pictures).mT[:, None]  # [f, 150, 150, 2] pixel indices
    size = torch.tensor([width, height]).to(pictures)
    grid = (2 * places + 1) / size - 1
    return grid_sample(pictures.movedim(-1, 1), grid, align_corners=False, padding_mode="border").movedim(1, -1)


def _similarity(start: Float64[np.ndarray, "n 2"], end: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "2 3"]:
    """The least squares similarity (Umeyama 1991)."""
    a, b = start - start.mean(0), end - end.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a / len(a))
    signs = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = (s * signs).sum() / np.square(a).sum(1).mean()
    return np.concatenate([scale * rotation, (end.mean(0) - scale * rotation @ start.mean(0))[:, None]], 1)
