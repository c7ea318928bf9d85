"""The morpher that needs no weights: warp both ends towards each other, then blend.

A cross-fade of two hats shows two hats. So both pictures are first moved. On the way from one end to the other a point
travels along a straight line (`perse.morphing.correspondence`). For a picture at position t the displacement of the
point that passes each pixel is gathered from both ends: every pixel drops its vector where it is at t. Then the first
end is sampled behind it and the second ahead of it, and they are blended with weights 1 - t and t in premultiplied
colours, so that no white seeps in from the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.morphing.correspondence import CorrespondenceConfig, Field, correspondence, sampled
from perse.morphing.morpher import Morph, MorphEnd

_STANDING = 0.05
"""Weight of the background's vectors, which stand still, against the figure's."""


@dataclass(frozen=True, kw_only=True)
class WarpMorpherConfig:
    """How pictures are warped towards each other."""

    version: int = 2
    """Part of content keys: changes whenever the pictures do."""
    correspondence: CorrespondenceConfig = field(default_factory=CorrespondenceConfig)
    """What corresponds to what."""
    tear: float = 0.01
    """Standard deviation of the blur that closes what motion tears open, a share of the picture's width."""

    def build(self) -> WarpMorpher:
        return WarpMorpher(self)


class WarpMorpher:
    """See the module. About ten milliseconds a picture of 256²."""

    def __init__(self, config: WarpMorpherConfig) -> None:
        self._config = config

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        """See `Morpher.morph`. Where the ends are alike, so is everything between them."""
        _check(first, second, positions)
        layers = _premultiplied(first), _premultiplied(second)
        presences = _presence(first), _presence(second)
        fields: tuple[Field, Field] | None = None
        images, alphas = [], []
        for t in map(float, positions):
            if t in (0.0, 1.0):
                end = first if t == 0 else second
                images.append(end.image)
                alphas.append(end.alpha)
                continue
            fields = fields or correspondence(first, second, self._config.correspondence)
            image, alpha = self._between(layers, presences, fields, t)
            images.append(image)
            alphas.append(alpha)
        h, w = first.alpha.shape
        return Morph(
            positions=np.asarray(positions, np.float32),
            images=np.stack(images) if images else np.zeros((0, h, w, 3), np.uint8),
            alphas=np.stack(alphas) if alphas else np.zeros((0, h, w), np.uint8),
        )

    def _between(
        self,
        layers: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        presences: tuple[NDArray[np.float32], NDArray[np.float32]],
        fields: tuple[Field, Field],
        t: float,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image [h, w, 3] and alpha [h, w] at position t, strictly between the ends."""
        passing = self._passing(fields, presences, t)
        behind = sampled(layers[0], -t * passing, border=cv2.BORDER_REPLICATE)
        ahead = sampled(layers[1], (1 - t) * passing, border=cv2.BORDER_REPLICATE)
        mixed = (1 - t) * behind.astype(np.float32) + t * ahead.astype(np.float32)
        alpha = np.round(mixed[..., 3])
        # Rounding may leave a premultiplied colour above its alpha by one.
        image = np.minimum(np.round(mixed[..., :3]) + (255 - alpha[..., None]), 255)
        return image.astype(np.uint8), alpha.astype(np.uint8)

    def _passing(
        self, fields: tuple[Field, Field], presences: tuple[NDArray[np.float32], NDArray[np.float32]], t: float
    ) -> Field:
        """The displacement, from first to second, of the point that passes each pixel at position t."""
        from perse.morphing.splat_kernels import drop_vectors

        (forth, back), (h, w) = fields, fields[0].shape[:2]
        sums = np.zeros((h, w, 3), np.float32)
        drop_vectors(forth, presences[0], t, 1 - t, 1.0, sums)
        drop_vectors(back, presences[1], 1 - t, t, -1.0, sums)
        # Narrow where vectors are dense; the wide blur speaks only where they are torn apart.
        near = cv2.GaussianBlur(sums, (0, 0), 0.7)
        far = cv2.GaussianBlur(sums, (0, 0), self._config.tear * w)
        total = near + 0.02 * far
        return np.asarray(total[..., :2] / (total[..., 2:] + 1e-6), np.float32)


def _check(first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> None:
    if first.image.shape != second.image.shape:
        raise ValueError(f"the ends differ in size: {first.image.shape} and {second.image.shape}")
    if first.landmarks_px.shape != second.landmarks_px.shape:
        raise ValueError(
            f"the ends differ in their landmarks: {first.landmarks_px.shape} and {second.landmarks_px.shape}"
        )
    if any(not 0 <= t <= 1 for t in positions):
        raise ValueError(f"positions must lie between 0 and 1, got {list(positions)}")


def _presence(end: MorphEnd) -> NDArray[np.float32]:
    return np.asarray(end.alpha / 255 + _STANDING, np.float32)


def _premultiplied(end: MorphEnd) -> NDArray[np.uint8]:
    """Colour times alpha, and alpha: [h, w, 4] uint8. The picture is this plus white times (1 - alpha)."""
    colors = np.maximum(end.image.astype(np.int16) - (255 - end.alpha[..., None].astype(np.int16)), 0)
    return np.dstack([colors.astype(np.uint8), end.alpha])
