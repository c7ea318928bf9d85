"""An invisible mark in the pixels of exported pictures, for when the metadata has been stripped.

A tile of band-passed noise is added to the brightness, over and over. Whoever looks for it brings the picture to the
tile's scale, averages all its periods, and correlates with the tile: the picture averages out, the mark does not. The
place of the peak does not matter, so a crop changes nothing; the scale is searched for. It says that a picture was
drawn by this program and not of whom, and whoever knows this file can remove it.

How much it survives is measured in `benchmarks.watermark` and written down in docs/exports.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from perse.shapes import Picture

PERIOD_PX = 64
AMPLITUDE = 2.0
"""Standard deviation of what is added, of 255. One cannot see it; JPEG at quality 50 leaves enough of it."""
FINE_PX, COARSE_PX = 1.2, 5.0
"""The band: finer is lost in compression, coarser is seen."""
HIGH_PASS_PX = 4.0
LARGEST_DETAIL = 12.0
"""Brightness beyond which detail is the picture's own."""
THRESHOLD = 6.5
"""Of the peak over the spread of all other shifts; unmarked pictures reach 5.2 (docs/exports.md)."""
SCALE_STEP = 0.003
SCALES = (0.45, 1.05)
LIKELY_SCALES = (1.0, 0.5, 0.75, 2.0, 2 / 3)
LEAST_PX = 96
"""Smaller pictures hold too few periods."""


@dataclass(frozen=True)
class Mark:
    """What was found.

    Attributes:
        score: of the best scale; above `THRESHOLD` the mark is there.
        scale: of the picture against the one that was drawn.
    """

    score: float
    scale: float

    @property
    def is_there(self) -> bool:
        return self.score > THRESHOLD


def marked(picture: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    """A picture [h, w, 3] or [h, w, 4] with the mark; alpha stays as it is."""
    height, width = picture.shape[:2]
    tile = AMPLITUDE * _tile()
    repeats = (-(-height // PERIOD_PX), -(-width // PERIOD_PX))
    added = np.tile(tile, repeats)[:height, :width, None]
    colors = np.clip(picture[..., :3] + added + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.concatenate([colors, picture[..., 3:]], axis=-1))


def find_mark(picture: Picture) -> Mark:
    """Look for the mark in a picture [h, w, 3] that may have been cropped, resized and compressed."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    best = Mark(0.0, 1.0)
    steps = round(np.log(SCALES[1] / SCALES[0]) / SCALE_STEP)
    for scale in (*LIKELY_SCALES, *np.geomspace(*SCALES, steps)):
        best = max(best, Mark(_score(grey, float(scale)), float(scale)), key=lambda mark: mark.score)
        if best.score > 2 * THRESHOLD:
            break
    return best


def _score(grey: NDArray[np.float32], scale: float) -> float:
    size = (round(grey.shape[1] / scale), round(grey.shape[0] / scale))
    if min(size) < LEAST_PX:
        return 0.0
    original = grey if scale == 1 else cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)
    detail = np.clip(original - cv2.GaussianBlur(original, (0, 0), HIGH_PASS_PX), -LARGEST_DETAIL, LARGEST_DETAIL)
    rows, columns = (length // PERIOD_PX * PERIOD_PX for length in detail.shape)
    if not rows or not columns:
        return 0.0
    folded = detail[:rows, :columns].reshape(-1, PERIOD_PX, columns // PERIOD_PX, PERIOD_PX).mean((0, 2))
    spectrum = np.fft.rfft2(folded)
    whitened = spectrum / np.maximum(np.abs(spectrum), 1e-6)
    found = np.fft.irfft2(whitened * np.conj(_tile_spectrum()), s=folded.shape)
    return float((found.max() - found.mean()) / max(found.std(), 1e-9))


@lru_cache(maxsize=1)
def _tile() -> Float32[np.ndarray, "p p"]:
    """[p, p], mean 0 and spread 1; periodic."""
    noise = np.random.default_rng(0x9E125E).normal(size=(PERIOD_PX, PERIOD_PX))
    frequency = np.hypot(np.fft.fftfreq(PERIOD_PX)[:, None], np.fft.rfftfreq(PERIOD_PX)[None])
    band = np.exp(-2 * (np.pi * FINE_PX * frequency) ** 2) - np.exp(-2 * (np.pi * COARSE_PX * frequency) ** 2)
    tile = np.fft.irfft2(np.fft.rfft2(noise) * band, s=noise.shape)
    return (tile / tile.std()).astype(np.float32)  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def _tile_spectrum() -> NDArray[np.complex128]:
    """Of the tile, each frequency as strong as it is likely to be left."""
    return np.fft.rfft2(_tile())
