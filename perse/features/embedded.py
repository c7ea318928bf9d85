"""Encoder without weights: a documented descriptor in CLIP's place.

It knows nothing of meaning. It has what MLP_z needs: the same subject always gives the same vectors, different edits
give clearly different ones, and similar ones lie near each other.

*Image.* On grids of 1², 2², 4² and 8² cells: mean colour, standard deviation of colour, and a histogram of eight
gradient directions weighted by gradient strength (as in HOG). In all 85 · 14 = 1190 numbers, less those of an all-white
picture (clips stand on white), weighted so that each grid and each of the three groups speaks about equally; then a
fixed random projection with orthonormal columns to 512, and unit length.

*Text.* The words, pairs of neighbouring words, and the letter trigrams of each word, which make "curly" and "curls"
relatives. Each n-gram is a fixed random direction in 512 dimensions, seeded by its own hash; they are added with
weights (words 1, pairs ½, the trigrams of a word together ½; filler words a quarter) and brought to unit length.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8

from perse.features.encoder import FEATURE_SIZE, Features, check_subjects
from perse.shapes import Picture

_SIZE_PX = 64
_GRIDS = (1, 2, 4, 8)
_DIRECTIONS = 8
_PROJECTION_SEED = 20250612
_COLOR_SPREAD, _DETAIL_SPREAD, _GRADIENT_SPREAD = 0.25, 0.10, 0.05
"""Typical deviations of the three groups over portraits; they bring them to one scale."""

_FILLERS = frozenset({
    "a", "an", "and", "are", "at", "by", "face", "for", "from", "has", "have", "her", "his", "in", "is", "it", "its",
    "man", "of", "on", "or", "person", "photo", "portrait", "s", "that", "the", "their", "this", "to", "wearing",
    "wears", "with", "woman",
})  # fmt: skip
_FILLER_WEIGHT, _PAIR_WEIGHT, _TRIGRAM_WEIGHT = 0.25, 0.5, 0.5


@dataclass(frozen=True)
class EmbeddedEncoder:
    """Encoder of the embedded descriptor. About a millisecond a subject; safe to use from several threads."""

    def encode(self, images: UInt8[np.ndarray, "b h w 3"], texts: Sequence[str]) -> Features:
        """See `PromptImageEncoder.encode`. Images may have any size."""
        check_subjects(images, texts)
        image = np.stack([describe_image(one) for one in images]) if len(images) else _empty()
        text = np.stack([describe_text(one) for one in texts]) if len(texts) else _empty()
        return Features(torch.from_numpy(image), torch.from_numpy(text))


def describe_image(image: Picture) -> Float32[np.ndarray, "512"]:
    """A picture [h, w, 3] uint8 as a unit vector [512] float32."""
    statistics = _grid_statistics(image) - _white_statistics()
    return _unit(statistics @ _projection(len(statistics)))


def describe_text(text: str) -> Float32[np.ndarray, "512"]:
    """A sentence as a unit vector [512] float32; zero for one without any letter or digit."""
    total = np.zeros(FEATURE_SIZE, np.float64)
    for gram, weight in _grams(text):
        total += weight * _direction(gram)
    return _unit(total)


def _grid_statistics(image: Picture) -> Float64[np.ndarray, " n"]:
    small = cv2.resize(image, (_SIZE_PX, _SIZE_PX), interpolation=cv2.INTER_AREA).astype(np.float64) / 255
    gray = small @ np.array([0.299, 0.587, 0.114])
    dy, dx = np.gradient(gray)
    strength = np.hypot(dx, dy)
    # Edges have no sign here: a dark hat on light skin is the light hat on dark skin.
    position = (np.arctan2(dy, dx) % np.pi) / np.pi * _DIRECTIONS
    lower = np.floor(position).astype(int) % _DIRECTIONS
    share = position - np.floor(position)
    direction = np.zeros((_SIZE_PX, _SIZE_PX, _DIRECTIONS))
    rows, columns = np.indices(gray.shape)
    direction[rows, columns, lower] = strength * (1 - share)
    direction[rows, columns, (lower + 1) % _DIRECTIONS] += strength * share

    parts = []
    for grid in _GRIDS:
        mean, square = _cells(small, grid), _cells(small * small, grid)
        deviation = np.sqrt(np.maximum(square - mean * mean, 0))
        groups = (mean / _COLOR_SPREAD, deviation / _DETAIL_SPREAD, _cells(direction, grid) / _GRADIENT_SPREAD)
        # Divided by the root of its size, so that each group adds about the same to the squared length.
        parts += [group.ravel() / np.sqrt(group.size) for group in groups]
    return np.concatenate(parts)


def _cells(values: Float64[np.ndarray, "64 64 c"], grid: int) -> Float64[np.ndarray, "grid grid c"]:
    """Means over the cells of a grid: [64, 64, c] to [grid, grid, c]."""
    side = _SIZE_PX // grid
    return values.reshape(grid, side, grid, side, -1).mean((1, 3))


@cache
def _white_statistics() -> Float64[np.ndarray, " n"]:
    return _grid_statistics(np.full((_SIZE_PX, _SIZE_PX, 3), 255, np.uint8))


@cache
def _projection(size: int) -> Float64[np.ndarray, "size 512"]:
    """Orthonormal columns [size, 512]: lengths and angles survive on average."""
    columns = np.random.default_rng(_PROJECTION_SEED).normal(size=(size, FEATURE_SIZE))
    orthonormal, triangle = np.linalg.qr(columns)
    return orthonormal * np.sign(np.diag(triangle))


def _grams(text: str) -> Iterator[tuple[str, float]]:
    words = re.findall(r"[^\W_]+", text.lower())
    for position, word in enumerate(words):
        weight = _FILLER_WEIGHT if word in _FILLERS else 1.0
        yield f"word {word}", weight
        framed = f"<{word}>"
        trigrams = [framed[k : k + 3] for k in range(len(framed) - 2)]
        for trigram in trigrams:
            yield f"trigram {trigram}", weight * _TRIGRAM_WEIGHT / np.sqrt(len(trigrams))
        if position:
            yield f"pair {words[position - 1]} {word}", weight * _PAIR_WEIGHT


@lru_cache(maxsize=65536)
def _direction(gram: str) -> Float64[np.ndarray, "512"]:
    """A fixed random unit vector for an n-gram; two n-grams are orthogonal but for 1/√512."""
    seed = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=16).digest(), "little")
    return np.asarray(np.random.default_rng(seed).normal(size=FEATURE_SIZE) / np.sqrt(FEATURE_SIZE))


def _unit(vector: Float64[np.ndarray, "512"]) -> Float32[np.ndarray, "512"]:
    length = np.linalg.norm(vector)
    return (vector / length if length > 1e-9 else np.zeros_like(vector)).astype(np.float32)


def _empty() -> Float32[np.ndarray, "0 512"]:
    return np.zeros((0, FEATURE_SIZE), np.float32)
