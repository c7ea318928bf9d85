"""The encoder that needs no weights: measured statistics, spread over 512 numbers by a fixed random rotation.

What it describes:

- picture: on grids of 1, 2, 4 and 8 cells a side, the mean and deviation of lightness, of two opponent colours and of
  the gradient's size; then, on a grid of 4, histograms of gradient directions. A change of hair colour moves many
  entries, thicker eyebrows a few.
- sentence: hashed words, word pairs and letter triples, so that prompts that share words are near each other and
  prompts that share nothing are nearly orthogonal.

Both are multiplied by a fixed matrix with random orthonormal rows or columns (seeded by its size, so it is the same
on every machine) and scaled to unit length. Unlike CLIP it has no idea what a hat *is*: picture and sentence do not
live in one space, and a sentence that was never trained on lands near those that share its words, no more.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.features.encoder import WIDTH, Features, check_batch

_SIDE_PX = 128
_GRIDS = (1, 2, 4, 8)
_DIRECTION_GRID, _DIRECTIONS = 4, 8
_BUCKETS = 2048


@dataclass(frozen=True, kw_only=True)
class EmbeddedEncoderConfig:
    """The embedded encoder; there is nothing to choose."""

    version: int = 1
    """Part of content keys: changes whenever the descriptor does."""

    def build(self) -> EmbeddedEncoder:
        return EmbeddedEncoder()


class EmbeddedEncoder:
    """See the module. About 3 ms a picture."""

    def encode(self, images: NDArray[np.uint8], texts: Sequence[str]) -> Features:
        """See `PromptImageEncoder.encode`."""
        check_batch(images, texts)
        described = np.stack([_describe_picture(image) for image in images])
        counted = np.stack([_count_words(text) for text in texts])
        return Features(_spread(described), _spread(counted))


def _describe_picture(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    small = cv2.resize(image, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float64) / 255
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    lightness = small.mean(-1)
    right, down = np.gradient(lightness, axis=1), np.gradient(lightness, axis=0)
    size = np.hypot(right, down)
    channels = np.stack([lightness, red - green, (red + green) / 2 - blue, 4 * size], -1)
    entries = []
    for cells in _GRIDS:
        blocks = _cells(channels, cells)  # [cells², pixels, 4]
        weight = 1 / cells  # every grid counts the same in total
        entries += [weight * blocks.mean(1).ravel(), weight * blocks.std(1).ravel()]
    sector = ((np.arctan2(down, right) / np.pi % 1) * _DIRECTIONS).astype(int) % _DIRECTIONS
    directions = np.eye(_DIRECTIONS)[sector] * size[..., None]
    entries.append(8 * _cells(directions, _DIRECTION_GRID).mean(1).ravel())
    return np.concatenate(entries)


def _cells(values: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """[h, w, c] cut into cells × cells blocks: [cells², pixels of a block, c]."""
    side = _SIDE_PX // cells
    blocks = values.reshape(cells, side, cells, side, -1).transpose(0, 2, 1, 3, 4)
    return blocks.reshape(cells * cells, side * side, -1)


def _count_words(text: str) -> NDArray[np.float64]:
    counts = np.zeros(_BUCKETS)
    for token, weight in _tokens(text):
        digest = hashlib.sha256(token.encode()).digest()
        sign = 1.0 if digest[4] & 1 else -1.0
        counts[int.from_bytes(digest[:4], "little") % _BUCKETS] += sign * weight
    if not counts.any():
        counts[0] = 1.0  # an empty sentence has a direction too
    return counts


def _tokens(text: str) -> Iterator[tuple[str, float]]:
    words = re.findall(r"\w+", text.lower())
    for word in words:
        yield f"word {word}", 1.0
        for start in range(len(word) - 2):
            yield f"letters {word[start : start + 3]}", 0.3
    for first, second in pairwise(words):
        yield f"pair {first} {second}", 0.5


def _spread(values: NDArray[np.float64]) -> Tensor:
    projected = torch.from_numpy(values @ _rotation(values.shape[1]))
    return torch.nn.functional.normalize(projected, dim=-1).float()


@cache
def _rotation(width: int) -> NDArray[np.float64]:
    """[width, 512] with orthonormal rows (width ≤ 512) or columns, the same on every machine."""
    random = np.random.default_rng(width).standard_normal((max(width, WIDTH), min(width, WIDTH)))
    basis, triangle = np.linalg.qr(random)
    basis = basis * np.sign(np.diag(triangle))  # LAPACK versions differ in signs
    return basis if width >= WIDTH else basis.T
