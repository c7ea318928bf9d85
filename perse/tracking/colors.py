"""Colour models of regions: small Gaussian mixtures in CIELAB, and edge-aware smoothing of masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, Shaped
from numpy.typing import NDArray

from perse.shapes import Colors, Picture, SoftMask

Floats = NDArray[np.float32]


def to_lab(image: Shaped[np.ndarray, "h w 3"]) -> Colors:
    """Colours CIELAB float32 (L 0…100) of sRGB [h, w, 3] in 0…255, uint8 or float32."""
    return np.asarray(cv2.cvtColor(np.asarray(image, np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), np.float32)


def to_gray(image: Picture) -> SoftMask:
    """Grey values float32 in [0, 1] of RGB uint8 [h, w, 3]."""
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    return np.asarray(gray / np.float32(255), np.float32)


def blur(values: Float[np.ndarray, "h w *c"], sigma: float) -> Float[np.ndarray, "h w *c"]:
    """Gaussian blur of [h, w] or [h, w, c]."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)


def guided_filter(guide: SoftMask, mask: SoftMask, radius: int, epsilon: float) -> SoftMask:
    """Mask [h, w] smoothed along the edges of a grey `guide` [h, w] in [0, 1] (He et al. 2010)."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, size, borderType=cv2.BORDER_REFLECT), np.float32)

    mean_guide, mean_mask = mean(guide), mean(mask)
    slope = (mean(guide * mask) - mean_guide * mean_mask) / (mean(guide * guide) - mean_guide**2 + epsilon)
    offset = mean_mask - slope * mean_guide
    return np.clip(mean(slope) * guide + mean(offset), 0, 1).astype(np.float32)


@dataclass(frozen=True)
class ColorMixture:
    """Mixture of Gaussians in CIELAB.

    Attributes:
        shares: [k]; means: [k, 3]; precisions: [k, 3, 3]; log_norms: [k].
    """

    shares: Float64[np.ndarray, " k"]
    means: Float64[np.ndarray, "k c"]
    precisions: Float64[np.ndarray, "k c c"]
    log_norms: Float64[np.ndarray, " k"]

    def log_likelihood(self, lab: Float[np.ndarray, "*n c"]) -> Float32[np.ndarray, " *n"]:
        """Log-likelihoods [...] of colours [..., 3]."""
        flat = lab.reshape(-1, 3).astype(np.float64)
        terms = np.empty((len(self.shares), len(flat)))
        for index, (share, mean, precision, norm) in enumerate(
            zip(self.shares, self.means, self.precisions, self.log_norms, strict=True)
        ):
            away = flat - mean
            terms[index] = np.log(share) + norm - 0.5 * ((away @ precision) * away).sum(1)
        return np.logaddexp.reduce(terms, 0).reshape(lab.shape[:-1]).astype(np.float32)


def fit_mixture(colors: Float[np.ndarray, "n c"], components: int, *, max_samples: int = 4000) -> ColorMixture | None:
    """Mixture by k-means followed by one Gaussian a cluster; None with fewer than 30 samples. Deterministic.

    Args:
        colors: [n, 3] CIELAB.
    """
    if len(colors) < 30:
        return None
    samples = colors[:: max(1, len(colors) // max_samples)].astype(np.float32)
    labels = _k_means(samples, components)
    shares, means, precisions, norms = [], [], [], []
    for label in range(components):
        cluster = samples[labels == label].astype(np.float64)
        if len(cluster) < 10:
            continue
        covariance = np.cov(cluster.T) + 6.0 * np.eye(3)  # 6: JPEG noise; keeps flat regions from becoming spikes
        shares.append(len(cluster) / len(samples))
        means.append(cluster.mean(0))
        precisions.append(np.linalg.inv(covariance))
        norms.append(-0.5 * np.log(np.linalg.det(2 * np.pi * covariance)))
    return ColorMixture(np.array(shares), np.array(means), np.array(precisions), np.array(norms))


def _k_means(samples: Float[np.ndarray, "n c"], components: int) -> Int64[np.ndarray, " n"]:
    """Lloyd's algorithm from evenly spaced quantiles of lightness: no random start."""
    order = np.argsort(samples[:, 0], kind="stable")
    centres = samples[order[((np.arange(components) + 0.5) / components * len(samples)).astype(int)]]
    labels = np.zeros(len(samples), np.int64)
    for _ in range(12):
        labels = ((samples[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack(
            [
                samples[labels == index].mean(0) if (labels == index).any() else centres[index]
                for index in range(components)
            ]
        )
    return labels
