"""Distances of two sets of pictures by their features: FID, KID, and the same in the embedded descriptors' space.

FID (Heusel et al. 2017) is the Fréchet distance of two Gaussians, KID (Bińkowski et al. 2018) the squared maximum mean
discrepancy under the kernel (x·y / w + 1)³. Both names mean features of Inception-v3, whose weights are no part of any
pip package: without the file there is no FID and no KID. In the space of the embedded descriptors, which need no
weights, the same formulas go by names of their own and say nothing about the paper's numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from numpy.typing import NDArray

from perse.errors import MissingWeightsError
from perse.features.embedded import describe_image
from perse.shapes import Pictures
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.segmenter import load_torchscript

Features = Float64[NDArray[np.float64], "n width"]

SUBSET = 100
"""Pictures of one of KID's subsets; all of them where there are fewer."""
SUBSETS = 50
"""Subsets that KID is averaged over."""

INCEPTION = Weights(name="inception-fid")
INCEPTION_FILE = "inception.torchscript"
_BATCH = 16


@dataclass(frozen=True)
class SetDistances:
    """Distances of a set of pictures from real ones.

    Attributes:
        frechet, kernel: see the module's docstring; kernel_deviation: of its subsets.
        pictures: how many of either set, the smaller number. FID falls with it: only equal numbers compare.
    """

    frechet: float
    kernel: float
    kernel_deviation: float
    pictures: int


def frechet_distance(a: Float64[np.ndarray, "n width"], b: Float64[np.ndarray, "m width"]) -> float:
    """Fréchet distance of features [n, w] and [m, w]: |μ_a − μ_b|² + Tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½).

    The trace of the root is the sum of the roots of the eigenvalues of Σ_a Σ_b, which are those of Σ_a^½ Σ_b Σ_a^½:
    real and not negative but for rounding. Sets smaller than w have singular covariances, which is no trouble here.

    Raises:
        ValueError: a set of fewer than two.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Fréchet distance needs two pictures of either set, got {len(a)} and {len(b)}")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    values, vectors = np.linalg.eigh(np.cov(a, rowvar=False))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ np.cov(b, rowvar=False) @ root)
    shift = float(np.square(a.mean(0) - b.mean(0)).sum())
    traces = float(np.trace(np.cov(a, rowvar=False)) + np.trace(np.cov(b, rowvar=False)))
    return shift + traces - 2 * float(np.sqrt(mixed.clip(0)).sum())


def kernel_distance(
    a: Float64[np.ndarray, "n width"], b: Float64[np.ndarray, "m width"], *, seed: int = 0
) -> tuple[float, float]:
    """Mean and deviation over random subsets of the unbiased squared MMD of features [n, w] and [m, w].

    Raises:
        ValueError: a set of fewer than two.
    """
    size = min(SUBSET, len(a), len(b))
    if size < 2:
        raise ValueError(f"a kernel distance needs two pictures of either set, got {len(a)} and {len(b)}")
    rng = np.random.default_rng(seed)
    whole = size == len(a) == len(b)
    found = []
    for _ in range(1 if whole else SUBSETS):
        x, y = (one[rng.choice(len(one), size, replace=False)].astype(np.float64) for one in (a, b))
        found.append(_squared_mmd(x, y))
    return float(np.mean(found)), float(np.std(found))


def _squared_mmd(x: Float64[np.ndarray, "n width"], y: Float64[np.ndarray, "n width"]) -> float:
    """Unbiased: pairs of a picture with itself are left out."""
    n, width = x.shape

    def kernel(
        one: Float64[np.ndarray, "n width"], other: Float64[np.ndarray, "m width"]
    ) -> Float64[np.ndarray, "n m"]:
        return (one @ other.T / width + 1) ** 3

    def without_diagonal(square: Float64[np.ndarray, "n n"]) -> float:
        return float(square.sum() - np.trace(square)) / (n * (n - 1))

    return without_diagonal(kernel(x, x)) + without_diagonal(kernel(y, y)) - 2 * float(kernel(x, y).mean())


def set_distances(
    real: Pictures, shown: UInt8[np.ndarray, "m h w 3"], describe: Callable[[Pictures], Features]
) -> SetDistances:
    """Distances of pictures [n, h, w, 3] and [m, h, w, 3] in some space of features."""
    return feature_distances(describe(real), describe(shown))


def feature_distances(a: Features, b: Float64[np.ndarray, "m width"]) -> SetDistances:
    """Distances of features [n, w] of real pictures and [m, w] of others."""
    kernel, deviation = kernel_distance(a, b)
    return SetDistances(frechet_distance(a, b), kernel, deviation, min(len(a), len(b)))


class InceptionFeatures:
    """Pool features [n, 2048] of Inception-v3 as FID and KID have them.

    A TorchScript archive that takes uint8 pictures [n, 3, h, w] and resizes and normalises them itself: the one that is
    published with StyleGAN (``inception-2015-12-05.pt``, renamed), which is called with ``return_features=True``, or
    any that takes the pictures alone.

    Raises:
        MissingWeightsError: no such file, or it is something else.
    """

    def __init__(self, weights: Weights = INCEPTION) -> None:
        self._file: Path = weights.locate() / INCEPTION_FILE
        self._network: Any = load_torchscript(self._file, torch.device("cpu"))
        names = [argument.name for argument in self._network.forward.schema.arguments]
        self._more = {"return_features": True} if "return_features" in names else {}

    @torch.inference_mode()
    def __call__(self, pictures: Pictures) -> Features:
        found = []
        for first in range(0, len(pictures), _BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(pictures[first : first + _BATCH])).permute(0, 3, 1, 2)
            features = self._network(batch, **self._more)
            if not isinstance(features, torch.Tensor) or features.ndim != 2 or len(features) != len(batch):
                raise MissingWeightsError(
                    f"{self._file} gives no features [n, w] of pictures [n, 3, h, w]; expected Inception-v3's pool "
                    "features as a TorchScript archive"
                )
            found.append(features.double().numpy())
        return np.concatenate(found)


class EmbeddedFeatures:
    """The embedded descriptors [n, 512] of pictures: no weights."""

    def __call__(self, pictures: Pictures) -> Features:
        return np.stack([describe_image(picture) for picture in pictures]).astype(np.float64)


SET_FEATURES: dict[tuple[str, str], Callable[[], Callable[[Pictures], Features]]] = {
    ("FID", "KID"): InceptionFeatures,
    ("Fréchet, embedded", "kernel, embedded"): EmbeddedFeatures,
}
"""Names of the two distances in every space of features, and who makes the features."""
