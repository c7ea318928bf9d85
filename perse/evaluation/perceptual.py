"""Structural similarity, and a distance of pictures for the evenness of interpolations. Neither needs weights.

SSIM is the textbook's: Gaussian window of 11 × 11 with σ = 1.5, K = (0.01, 0.03), mean over channels and pixels (Wang
et al. 2004).

The distance is multi-scale L1: the mean absolute RGB difference, averaged over the octaves of a Gaussian pyramid, so
that it sees colours and shapes from near and from afar. It is a norm: the way along an interpolation is never shorter
than the distance of its ends, a cross-fade is exactly straight, and a shape whose outline moves steadily is nearly so
(each pixel changes once); ghosts, holes and speckle on the way are detours. Not LPIPS, and not comparable with the
paper's numbers. sqrt(1 − MS-SSIM) was tried: it punishes texture that moves, and rates cross-fades far above warps.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

METRIC = "multi-scale L1"

_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_SMALLEST_PX = 8


def structural_similarity(a: Float[Tensor, "b h w 3"], b: Float[Tensor, "b h w 3"]) -> Float[Tensor, " b"]:
    """Mean SSIM of pictures in [0, 1]."""
    pairs = zip(a.numpy(), b.numpy(), strict=True)
    return torch.tensor([_similarity(*_terms(*pair)) for pair in pairs])


def multi_scale_distance(a: Float[Tensor, "b h w 3"], b: Float[Tensor, "b h w 3"]) -> Float[Tensor, " b"]:
    """Mean over octaves of the mean absolute difference of pictures in [0, 1]."""
    return torch.tensor([_distance(x, y) for x, y in zip(a.numpy(), b.numpy(), strict=True)])


def _distance(a: Float[np.ndarray, "h w 3"], b: Float[np.ndarray, "h w 3"]) -> float:
    difference = a - b  # blurring is linear: one pyramid of the difference does
    octaves = []
    while True:
        octaves.append(float(np.abs(difference).mean()))
        if min(difference.shape[:2]) < 2 * _SMALLEST_PX:
            return float(np.mean(octaves))
        difference = cv2.pyrDown(difference)


def _similarity(luminance: Float64[np.ndarray, "h w 3"], contrast: Float64[np.ndarray, "h w 3"]) -> float:
    """Mean over the windows that lie inside the picture, as the textbook has it."""
    border = _WINDOW_PX // 2
    inside = slice(border, -border)
    return float(np.mean((luminance * contrast)[inside, inside]))


def _terms(
    a: Float[np.ndarray, "h w 3"], b: Float[np.ndarray, "h w 3"]
) -> tuple[Float64[np.ndarray, "h w 3"], Float64[np.ndarray, "h w 3"]]:
    """Luminance and contrast-structure maps."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variances = _blurred(a * a) + _blurred(b * b) - mean_a**2 - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return luminance, (2 * covariance + _C2) / (variances + _C2)


def _blurred(image: Float64[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "h w 3"]:
    return cv2.GaussianBlur(image, (_WINDOW_PX, _WINDOW_PX), _SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
