"""The morpher that needs no weights: warp both ends towards each other, then blend.

A cross-fade of two hats shows two hats. So both pictures are first moved. On the way from one end to the other a point
travels along a straight line (`perse.morphing.correspondence`). For a picture at position t the displacement of the
point that passes each pixel is gathered from both ends: every pixel drops its vector where it is at t. Then the first
end is sampled behind it and the second ahead of it.

The two samples are blended with weights 1 - t and t where both show the edited part, or neither. Where one does and the
other does not, `membership` says which is right at t, and only a sample that agrees counts. What comes from one end
alone takes on the part's mean colour at t, so that a new brim is as blue as the hat is by then. Colours are blended
premultiplied: no white seeps in from the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.morphing.correspondence import CorrespondenceConfig, Field, correspondence, sampled
from perse.morphing.membership import firmness, membership
from perse.morphing.morpher import Morph, MorphEnd, check_ends

_UNMOVED = 0.02
"""Weight of the ends as they are, for pixels where no moved sample shows what belongs there."""

_STANDING = 0.05
"""Weight of the background's vectors, which stand still, against the figure's."""


@dataclass(frozen=True, kw_only=True)
class WarpMorpherConfig:
    """How pictures are warped towards each other."""

    version: int = 3
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
        check_ends(first, second, positions)
        ends = _Layers.of(first), _Layers.of(second)
        firm = firmness(first.shape, second.shape)
        fields: tuple[Field, Field] | None = None
        images, alphas = [], []
        for t in map(float, positions):
            if t in (0.0, 1.0):
                end = first if t == 0 else second
                images.append(end.image)
                alphas.append(end.alpha)
                continue
            fields = fields or correspondence(first, second, self._config.correspondence)
            passing = self._passing(fields, (_presence(first), _presence(second)), t)
            moved = ends[0].moved(-t * passing), ends[1].moved((1 - t) * passing)
            image, alpha = _blended(ends, moved, t, firm)
            images.append(image)
            alphas.append(alpha)
        h, w = first.alpha.shape
        return Morph(
            positions=np.asarray(positions, np.float32),
            images=np.stack(images) if images else np.zeros((0, h, w, 3), np.uint8),
            alphas=np.stack(alphas) if alphas else np.zeros((0, h, w), np.uint8),
        )

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


@dataclass(frozen=True)
class _Layers:
    """An end as it is warped and blended.

    Attributes:
        picture: [h, w, 4], colour times alpha, and alpha; 0 to 255. The end's picture is this plus white times
            (1 - alpha).
        part: [h, w], 1 in the edited part.
        tint: [3], mean colour of the part; 0 without one.
    """

    picture: NDArray[Any]
    part: NDArray[np.float32]
    tint: NDArray[np.float32]

    @classmethod
    def of(cls, end: MorphEnd) -> _Layers:
        colors = np.maximum(end.image.astype(np.int16) - (255 - end.alpha[..., None].astype(np.int16)), 0)
        weight = float(end.alpha[end.shape].sum()) / 255
        tint = colors[end.shape].sum(0) / max(weight, 1.0)
        picture = np.dstack([colors.astype(np.uint8), end.alpha])
        return cls(picture, end.shape.astype(np.float32), tint.astype(np.float32))

    @property
    def alpha(self) -> NDArray[np.float32]:
        """[h, w] in [0, 1]."""
        return np.asarray(self.picture[..., 3] / 255, np.float32)

    def moved(self, field: Field) -> _Layers:
        return replace(self, picture=sampled(self.picture, field), part=sampled(self.part, field))


def _blended(
    ends: tuple[_Layers, _Layers], moved: tuple[_Layers, _Layers], t: float, firm: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image [h, w, 3] and alpha [h, w] at position t of two ends, given as they are and moved to t."""
    part = membership(ends[0].part, ends[1].part, t, firm)
    alpha = membership(ends[0].alpha, ends[1].alpha, t, firm)
    weights = (1 - t, t, _UNMOVED * (1 - t), _UNMOVED * t)
    opaque, color = [], 0.0
    for end, weight in zip((*moved, *ends), weights, strict=True):
        share = weight * (1e-4 + np.clip(1 - np.abs(end.part - part), 0, 1))  # a sample counts as far as it agrees
        opaque.append(share * end.alpha)
        color = color + share[..., None] * end.picture[..., :3]
    total = sum(opaque) + 1e-6
    color = color / total[..., None]
    missing = part * (1 - t - (opaque[0] + opaque[2]) / total)  # of the first end's share, or the opposite of excess
    color = np.clip(color + (firm * missing)[..., None] * (ends[0].tint - ends[1].tint), 0, 255)
    image = color * alpha[..., None] + 255 * (1 - alpha[..., None])
    return np.round(image).astype(np.uint8), np.round(255 * alpha).astype(np.uint8)


def _presence(end: MorphEnd) -> NDArray[np.float32]:
    """Weights [h, w] of the vectors that start at an end's pixels."""
    return np.asarray(end.alpha / 255 + _STANDING, np.float32)
