"""Image tools: colours continued beyond where they are known, and strand-like noise."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.shapes import Colors, Field

Image = NDArray[np.float32]


def push_pull(
    colors: Float32[NDArray[np.float32], "h w c"], weights: Float32[NDArray[np.float32], "h w"]
) -> Float32[NDArray[np.float32], "h w c"]:
    """Colours continued smoothly from known pixels over unknown ones through an image pyramid (Gortler et al. 1996).

    Args:
        colors: [h, w, c]; weights: [h, w] ≥ 0, how much each pixel is known; 1 keeps it as it is.
    """
    levels = [(colors * weights[..., None], weights)]
    while min(levels[-1][1].shape) > 2:
        height, width = levels[-1][1].shape
        half = ((width + 1) // 2, (height + 1) // 2)
        color, weight = (cv2.resize(layer, half, interpolation=cv2.INTER_AREA) for layer in levels[-1])
        levels.append((color, weight))
    color, weight = levels[-1]
    filled = _divide(color, weight).reshape(*weight.shape, -1)
    for color, weight in levels[-2::-1]:
        size = (weight.shape[1], weight.shape[0])
        coarse = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR).reshape(*weight.shape, -1)
        share = np.clip(4 * weight, 0, 1)[..., None]
        filled = share * _divide(color, weight).reshape(coarse.shape) + (1 - share) * coarse
    return filled.astype(np.float32)


def _divide(
    color: Float32[np.ndarray, "h w *c"], weight: Float32[np.ndarray, "h w *d"]
) -> Float32[np.ndarray, "h w *c"]:
    divisor = np.maximum(weight.reshape(*weight.shape, *(1,) * (color.ndim - weight.ndim)), 1e-6)
    return (color / divisor).astype(np.float32)


def blurred_within(
    colors: Float32[NDArray[np.float32], "h w c"], weights: Float32[NDArray[np.float32], "h w"], sigma_px: float
) -> tuple[Float32[NDArray[np.float32], "h w c"], Float32[NDArray[np.float32], "h w"]]:
    """Gaussian mean of the pixels that `weights` [h, w] lets count, and the Gaussian mean of their weights."""
    total = cv2.GaussianBlur(weights, (0, 0), sigma_px)
    blurred = cv2.GaussianBlur(colors * weights[..., None], (0, 0), sigma_px).reshape(colors.shape)
    return blurred / np.maximum(total, 1e-4)[..., None], total


def mean_of_channels(colors: Colors) -> Field:
    """Mean [h, w] over channels [h, w, 3]: the bits of `colors.mean(-1)`, which takes ten times as long."""
    return np.asarray((colors[..., 0] + colors[..., 1] + colors[..., 2]) / np.float32(3), np.float32)


def strand_noise(rng: np.random.Generator, across: int, along: int) -> Float32[NDArray[np.float32], "along across"]:
    """Noise that looks like combed hair: [along, across], zero mean, unit deviation, periodic across.

    Fine strands, locks and broad waves; each long in the direction of growth, with ends at random places.
    """
    total = np.zeros((along, across), np.float32)
    for width, length, strength in ((0.8, 40, 1.0), (2.2, 60, 1.1), (6.0, 70, 0.9), (16.0, 60, 0.6)):
        layer = rng.standard_normal((along, across)).astype(np.float32)
        pad = int(4 * width) + 1
        wrapped = np.concatenate([layer[:, -pad:], layer, layer[:, :pad]], 1)
        layer = cv2.GaussianBlur(wrapped, (0, 0), width, sigmaY=length)[:, pad:-pad]
        total += strength * layer / layer.std()
    return ((total - total.mean()) / total.std()).astype(np.float32)


def grain(
    rng: np.random.Generator, height: int, width: int, sigma_px: float
) -> Float32[NDArray[np.float32], "height width"]:
    """Isotropic noise, [height, width], unit deviation."""
    layer = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), sigma_px)
    return (layer / layer.std()).astype(np.float32)
