"""The morpher that needs no weights: warp both ends towards each other, then blend.

A cross-fade of two hats shows two hats. So both pictures are first moved: a dense flow carries each end's shape onto
the other's, and at position t the first end is moved t of the way and the second the rest.

The flow starts from the landmarks' displacements and is refined by dense inverse search (Kroeger et al. 2016) on
*guide* pictures: signed distances to the edited part's outline and to the silhouette, plus some lightness. Distances
have a gradient everywhere, so outlines find each other over many pixels, where colours of two different hats have
nothing in common to be matched by.

The flows of position t are taken from the flows between the ends as in Jiang et al. 2018 (Super SloMo, Eq. 4):
``F_t→0 = −(1 − t) t F_0→1 + t² F_1→0`` and ``F_t→1 = (1 − t)² F_0→1 − t (1 − t) F_1→0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.morphing.morpher import Morph, MorphEnd

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WarpMorpherConfig:
    """How far outlines look for each other, and how smooth the motion is. Lengths are shares of the picture's width."""

    reach: float = 0.14
    """Signed distances are cut off here; outlines farther apart than about this fade instead of moving."""
    smoothing: float = 0.012
    """Standard deviation of the blur of the flow."""
    border: float = 0.10
    """The flow fades to zero over this distance from the pixels that differ."""
    outline_weight: float = 0.5
    """Share of the edited part's distances in the guide."""
    silhouette_weight: float = 0.3
    """Share of the silhouette's distances; lightness has what is left."""
    seen_difference: float = 8.0
    """Grey levels from which a pixel counts as different."""

    def build(self) -> WarpMorpher:
        return WarpMorpher(self)


class WarpMorpher:
    """See the module."""

    def __init__(self, config: WarpMorpherConfig) -> None:
        self._config = config

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        """See `Morpher.morph`."""
        at = np.asarray(positions, np.float32)
        if first.image.shape != second.image.shape:
            raise ValueError(f"the ends differ in size: {first.image.shape} and {second.image.shape}")
        if at.ndim != 1 or ((at < 0) | (at > 1)).any():
            raise ValueError(f"positions must lie between 0 and 1, got {list(positions)}")
        forward, backward = self._flows(first, second)
        pictures = _premultiplied(first), _premultiplied(second)
        between = [_between(pictures, (forward, backward), float(t)) for t in at]
        for index, t in enumerate(at):
            if t in (0, 1):
                end = first if t == 0 else second
                between[index] = (end.image, end.alpha)
        return Morph(at, np.stack([image for image, _ in between]), np.stack([alpha for _, alpha in between]))

    def _flows(self, first: MorphEnd, second: MorphEnd) -> tuple[Array, Array]:
        """Displacements [h, w, 2] in pixels that carry the first end onto the second, and back."""
        guides = self._guide(first, second), self._guide(second, first)
        moved = second.landmarks_px[:, :2] - first.landmarks_px[:, :2]
        height, width = first.alpha.shape
        forward = self._refined(*guides, _scattered(first.landmarks_px, moved, height, width))
        backward = self._refined(*guides[::-1], _scattered(second.landmarks_px, -moved, height, width))
        near = self._near_difference(first, second)[..., None]
        return forward * near, backward * near

    def _guide(self, end: MorphEnd, other: MorphEnd) -> NDArray[np.uint8]:
        config = self._config
        reach = config.reach * end.alpha.shape[1]
        lightness = end.image.astype(np.float32).mean(-1) / 255
        outline, silhouette = config.outline_weight, config.silhouette_weight
        guide = silhouette * _signed_distance(end.alpha > 127, reach) + (1 - outline - silhouette) * lightness
        # Without a part in both ends there is no outline to carry over; it can only fade.
        if end.shape.any() and other.shape.any():
            guide += outline * _signed_distance(end.shape, reach)
        return (np.clip(guide, 0, 1) * 255 + 0.5).astype(np.uint8)

    def _refined(self, source: NDArray[np.uint8], target: NDArray[np.uint8], start: Array) -> Array:
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        search.setFinestScale(1)
        flow = search.calc(source, target, start.copy())
        sigma = self._config.smoothing * source.shape[1]
        return cv2.GaussianBlur(flow, (0, 0), sigma)

    def _near_difference(self, first: MorphEnd, second: MorphEnd) -> Array:
        """[h, w]: 1 where the ends differ, falling to 0 away from it, so that what is alike stays where it is."""
        difference = np.abs(first.image.astype(np.float32) - second.image.astype(np.float32)).max(-1)
        alike = (difference < self._config.seen_difference).astype(np.uint8)
        if alike.all():
            return np.zeros(alike.shape, np.float32)
        distance = cv2.distanceTransform(alike, cv2.DIST_L2, 5)
        return np.clip(1 - distance / (self._config.border * alike.shape[1]), 0, 1).astype(np.float32)


def _between(
    pictures: tuple[Array, Array], flows: tuple[Array, Array], t: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image [h, w, 3] and alpha [h, w] at position t from the premultiplied ends and the flows between them."""
    (first, second), (forward, backward) = pictures, flows
    to_first = -(1 - t) * t * forward + t * t * backward
    to_second = (1 - t) * (1 - t) * forward - t * (1 - t) * backward
    mixed = (1 - t) * _warped(first, to_first) + t * _warped(second, to_second)
    alpha = mixed[..., 3:]
    image = mixed[..., :3] + (255 - alpha)
    return _bytes(image), _bytes(alpha[..., 0])


def _warped(picture: Array, flow: Array) -> Array:
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _premultiplied(end: MorphEnd) -> Array:
    """[h, w, 4]: colours without the white behind them, and alpha, 0 to 255."""
    alpha = end.alpha.astype(np.float32)[..., None]
    return np.concatenate([end.image.astype(np.float32) - (255 - alpha), alpha], -1)


def _signed_distance(shape: NDArray[np.bool_], reach_px: float) -> Array:
    """[h, w] in [0, 1]: 0.5 on the outline, 1 at `reach_px` inside, 0 at `reach_px` outside."""
    inside = cv2.distanceTransform(shape.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~shape).astype(np.uint8), cv2.DIST_L2, 5)
    return (0.5 + 0.5 * np.clip((inside - outside) / reach_px, -1, 1)).astype(np.float32)


def _scattered(points_px: NDArray[np.float32], moved: NDArray[np.float32], height: int, width: int) -> Array:
    """Displacements of scattered points as a smooth field [h, w, 2]: Gaussian-weighted means, zero far from all."""
    total = np.zeros((height, width, 2), np.float32)
    weight = np.zeros((height, width), np.float32)
    column = np.floor(points_px[:, 0]).astype(int)
    row = np.floor(points_px[:, 1]).astype(int)
    seen = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    np.add.at(total, (row[seen], column[seen]), moved[seen])
    np.add.at(weight, (row[seen], column[seen]), 1)
    sigma = 0.03 * width
    total, weight = cv2.GaussianBlur(total, (0, 0), sigma), cv2.GaussianBlur(weight, (0, 0), sigma)
    return total / np.maximum(weight, 1e-4)[..., None]


def _bytes(values: Array) -> NDArray[np.uint8]:
    return (np.clip(values, 0, 255) + 0.5).astype(np.uint8)
