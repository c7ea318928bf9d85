"""Structural similarity, and a perceptual distance that needs no weights.

SSIM is the textbook's: Gaussian window of 11 × 11 with σ = 1.5, K = (0.01, 0.03), mean over channels and pixels (Wang
et al. 2004). The distance is sqrt(1 − MS-SSIM): multi-scale SSIM (Wang et al. 2003) over as many octaves as the
picture has room for, and the square root because 1 − SSIM is quadratic in small differences; its root behaves like a
metric (Brunet et al. 2012), so the way along an interpolation is not shorter than the distance of its ends.

Not LPIPS, and not comparable with the paper's numbers.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

METRIC = "sqrt(1 - MS-SSIM)"

_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_OCTAVE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, finest first

_Picture = NDArray[Any]


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM [b] of pictures [b, h, w, 3] in [0, 1]."""
    pairs = zip(a.numpy(), b.numpy(), strict=True)
    return torch.tensor([_similarity(*_terms(*pair)) for pair in pairs])


def multi_scale_distance(a: Tensor, b: Tensor) -> Tensor:
    """sqrt(1 − MS-SSIM) [b] of pictures [b, h, w, 3] in [0, 1]; 0 exactly where they are equal."""
    return torch.tensor([_distance(x, y) for x, y in zip(a.numpy(), b.numpy(), strict=True)])


def _distance(a: _Picture, b: _Picture) -> float:
    if np.array_equal(a, b):
        return 0.0
    octaves = 1 + int(np.log2(max(min(a.shape[:2]) // _WINDOW_PX, 1)))
    weights = np.asarray(_OCTAVE_WEIGHTS[:octaves])
    similarity = 1.0
    for octave, weight in enumerate(weights / weights.sum()):
        luminance, contrast = _terms(a, b)
        last = octave == len(weights) - 1
        value = float(np.mean(luminance * contrast if last else contrast))
        similarity *= max(value, 0.0) ** weight
        a, b = _halved(a), _halved(b)
    return float(np.sqrt(max(1 - similarity, 0.0)))


def _similarity(luminance: _Picture, contrast: _Picture) -> float:
    """Mean over the windows that lie inside the picture, as the textbook has it."""
    border = _WINDOW_PX // 2
    inside = slice(border, -border)
    return float(np.mean((luminance * contrast)[inside, inside]))


def _terms(a: _Picture, b: _Picture) -> tuple[_Picture, _Picture]:
    """Luminance and contrast-structure maps [h, w, 3]."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variances = _blurred(a * a) + _blurred(b * b) - mean_a**2 - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return luminance, (2 * covariance + _C2) / (variances + _C2)


def _blurred(image: _Picture) -> _Picture:
    return cv2.GaussianBlur(image, (_WINDOW_PX, _WINDOW_PX), _SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)


def _halved(image: _Picture) -> _Picture:
    return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
