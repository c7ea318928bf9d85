"""Invisible watermark in the pixels of exported pictures, for when the metadata has been stripped.

A tile of band-passed noise is added to the brightness, over and over, weakly on what is smooth and more strongly where
the picture's own texture hides it. Whoever looks for it brings the picture to the tile's scale, averages all its
periods, and correlates with the tile: the picture averages out, the mark does not. Pixels count by the inverse of the
variance around them, as the matched filter in noise of uneven strength has it, so that an edge does not drown a cheek.
The place of the peak does not matter, so a crop changes nothing; the scale is searched for. It says that a picture was
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
SMOOTH, STRONGEST = 1.2, 5.5
"""Standard deviation of what is added, of 255, where the picture is smooth, and at most."""
HIDDEN = 0.27
"""How much more is added for each unit of texture, the mean deviation from the surroundings."""
TEXTURE_PX, EDGE_PX = 3.0, 9
"""Over which texture is measured, and beside which an edge is no texture."""
FINE_PX, COARSE_PX = 1.2, 5.0
"""The band: finer is lost in compression, coarser is seen."""
HIGH_PASS_PX = 4.0
SPREAD = 4.0
"""Detail beyond so many of its surroundings' standard deviations is cut off."""
LEAST_VARIANCE = 16.0
"""Of detail, of 255 squared: what compression leaves even where there is nothing."""
THRESHOLD, LIKELY_THRESHOLD = 6.3, 5.7
"""Of the peak over the spread of all other shifts: at the hundreds of scales that are searched, and at the few likely
ones, where chance has fewer tries. What unmarked pictures reach is in docs/exports.md."""
SCALES = (0.45, 1.05)
LIKELY_SCALES = (1.0, 0.5, 0.75, 2.0, 2 / 3)
LEAST_PX = 96
"""Smaller pictures hold too few periods."""


@dataclass(frozen=True)
class Mark:
    """Watermark that was found.

    Attributes:
        score: of the scale that speaks most for a mark.
        scale: of the picture against the one that was drawn.
        threshold: above which the mark is there.
    """

    score: float
    scale: float
    threshold: float = THRESHOLD

    @property
    def is_there(self) -> bool:
        return self.score > self.threshold

    @property
    def margin(self) -> float:
        """Margin by which the mark is there."""
        return self.score - self.threshold


def marked(picture: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    """A picture [h, w, 3] or [h, w, 4] with the mark; alpha stays as it is."""
    height, width = picture.shape[:2]
    repeats = (-(-height // PERIOD_PX), -(-width // PERIOD_PX))
    added = np.tile(_tile(), repeats)[:height, :width] * _strength(_grey(picture))
    colors = np.clip(picture[..., :3] + added[..., None] + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.concatenate([colors, picture[..., 3:]], axis=-1))


def find_mark(picture: Picture) -> Mark:
    """Mark in a picture [h, w, 3] that may have been cropped, resized and compressed; None without one."""
    grey = _grey(picture)
    best = Mark(0.0, 1.0)
    for scale in LIKELY_SCALES:
        best = max(best, Mark(_score(grey, scale), scale, LIKELY_THRESHOLD), key=lambda mark: mark.margin)
        if best.is_there:
            return best
    for scale in _searched_scales(min(grey.shape)):
        best = max(best, Mark(_score(grey, scale), scale), key=lambda mark: mark.margin)
    return best


def _grey(picture: UInt8[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w"]:
    return cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY).astype(np.float32)


def _strength(grey: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Standard deviation of the mark [h, w], of 255."""
    deviation = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), TEXTURE_PX))
    everywhere = cv2.erode(cv2.GaussianBlur(deviation, (0, 0), TEXTURE_PX), np.ones((EDGE_PX, EDGE_PX), np.uint8))
    texture = cv2.GaussianBlur(everywhere, (0, 0), TEXTURE_PX)
    return np.minimum(SMOOTH + HIDDEN * texture, STRONGEST)


def _searched_scales(size_px: int) -> list[float]:
    """So close to each other that the tile fits all over a picture of this size, to a pixel and a half."""
    step = min(0.01, 1.5 / size_px)
    return [float(scale) for scale in np.geomspace(*SCALES, round(np.log(SCALES[1] / SCALES[0]) / step))]


def _score(grey: NDArray[np.float32], scale: float) -> float:
    size = (round(grey.shape[1] / scale), round(grey.shape[0] / scale))
    if min(size) < LEAST_PX:
        return 0.0
    original = grey if scale == 1 else cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)
    spectrum = np.fft.rfft2(_folded(original))
    whitened = spectrum / np.maximum(np.abs(spectrum), 1e-6)
    found = np.fft.irfft2(whitened * np.conj(_tile_spectrum()), s=(PERIOD_PX, PERIOD_PX))
    return float((found.max() - found.mean()) / max(found.std(), 1e-9))


def _folded(original: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "p p"]:
    """Detail of all periods, added up with the weights of a matched filter, in units of what chance leaves [p, p]."""
    detail = original - cv2.GaussianBlur(original, (0, 0), HIGH_PASS_PX)
    variance = cv2.GaussianBlur(detail * detail, (0, 0), HIGH_PASS_PX)
    limit = SPREAD * np.sqrt(variance + 1)
    weight = 1 / (variance + LEAST_VARIANCE)
    total = _sum_of_periods(np.clip(detail, -limit, limit) * weight)
    return total / np.sqrt(np.maximum(_sum_of_periods(weight), 1e-9))  # type: ignore[no-any-return]


def _sum_of_periods(values: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "p p"]:
    """The last periods may be cut off: a small picture has no pixel to spare."""
    height, width = (-length % PERIOD_PX for length in values.shape)
    whole = np.pad(values, ((0, height), (0, width)))
    return whole.reshape(-1, PERIOD_PX, whole.shape[1] // PERIOD_PX, PERIOD_PX).sum((0, 2))  # type: ignore[no-any-return]


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
