"""Morpher that needs no weights: both ends are warped towards each other, then blended.

A cross-fade of two hats shows two hats. So both pictures are first moved. On the way from one end to the other a point
travels along a straight line (`perse.morphing.correspondence`). For a picture at position t the displacement of the
point that passes each pixel is gathered from both ends: every pixel drops its vector where it is at t. Then the first
end is sampled behind it and the second ahead of it.

The two samples are blended with weights 1 - t and t where both show the edited part, or neither. What only one of
them shows is not blended in, which would be a ghost: it is pulled out of what both show (`perse.morphing.growth`), a
brim out of a beanie. Where there is nothing in common to be pulled out of, or only little, `membership` fades it. What
comes from one end alone takes on the part's mean colour at t, so that a new brim is as blue as the hat is by then.
Colours are blended premultiplied: no white seeps in from the background.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Num
from numpy.typing import NDArray

from perse.attributes import Category
from perse.morphing.correspondence import CorrespondenceConfig, Field, correspondence, sampled
from perse.morphing.growth import Core, Uncovering, growth_of
from perse.morphing.membership import Meeting, firmness
from perse.morphing.morpher import Morph, MorphEnd, check_ends
from perse.morphing.window import Window, window_of

GROWING = (None, Category.BEARD, Category.CLOTHES, Category.HAIR, Category.HAT, Category.HEADPHONES)
"""Categories whose shapes are pulled out of each other. Eyebrows, mouth and nose are on every face, and their outline
is where the parser drew it: they move as the picture does. Earrings hang beside each other rather than grow out of each
other, and pulled their pace is less even (deviation 0.047 against 0.028)."""

UNCOVERED = (Category.BEARD,)
"""Those of them that are uncovered from their core on instead: hair that grows on skin has its place there."""

_UNMOVED = 0.02
"""Weight of the ends as they are, for pixels where no moved sample shows what belongs there."""

_STILL = 50.0
"""Weight of the ends as they are for what is behind the part, against their moved samples."""

_DRAWN_PX = 1.0
"""How far a part's outline may have been drawn from where it is seen: a brow whose labels end a pixel beside its hair
was full of dots."""

_FULLY_SHOWN = 0.05
"""Position from which what is pulled out of the core is opaque."""

_TINTED = 70.0
"""Grey levels within which a pixel's colour counts as its part's."""

_RIM_PX = 2
"""Pixels of a part along its outline in which what is behind it shows."""

_LEAST_ROUNDING_PX = 0.5
"""Below this a blur does next to nothing."""

_EDGE = 4.0
"""Steepness of a rounded outline: it is as soft as one that was drawn."""

_BESIDE = 0.1
"""How far around what differs the ends are looked at, a share of the picture's width."""

_STANDING = 0.05
"""Weight of the background's vectors, which stand still, against the figure's."""


@dataclass(frozen=True, kw_only=True)
class WarpMorpherConfig:
    """Numbers of warping and blending."""

    version: int = 8
    """Part of content keys: changes whenever the pictures do."""
    correspondence: CorrespondenceConfig = field(default_factory=CorrespondenceConfig)
    """What corresponds to what."""
    tear: float = 0.01
    """Standard deviation of the blur that closes what motion tears open, a share of the picture's width."""

    lora: ClassVar[None] = None
    """No subject needs an adapter."""

    def check(self) -> None:
        """Do nothing: it needs no weights."""

    def build(self) -> WarpMorpher:
        return WarpMorpher(self)


class WarpMorpher:
    """Morpher by warping. Some ten milliseconds a picture of 256², fewer where little differs."""

    def __init__(self, config: WarpMorpherConfig) -> None:
        self._config = config

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        """See `Morpher.morph`. Where the ends are alike, so is everything between them."""
        check_ends(first, second, positions)
        images = np.repeat(first.image[None], len(positions), 0)
        alphas = np.repeat(first.alpha[None], len(positions), 0)
        shapes = np.repeat(first.shape[None], len(positions), 0)
        window = window_of(_differs(first, second), round(_BESIDE * first.image.shape[1]))
        if window is not None:
            parts = _cut(first, window), _cut(second, window)
            between = self._between(*parts, first.image.shape[1], positions)
            for row, (image, alpha, shape) in enumerate(between):
                images[row][window], alphas[row][window], shapes[row][window] = image, alpha, shape
        return Morph(np.asarray(positions, np.float32), images, alphas, shapes)

    def _between(
        self, first: MorphEnd, second: MorphEnd, width_px: int, positions: Sequence[float]
    ) -> Iterator[_Finished]:
        """What lies at each position between two windows of pictures of a width."""
        scale = width_px / first.image.shape[1]
        ends = _Layers.of(first), _Layers.of(second)
        firm = firmness(first.shape, second.shape)
        growing = _Growing.of(ends, first.category, width_px) if firm > 0 and first.category in GROWING else None
        masks = Meeting(ends[0].part, ends[1].part), Meeting(ends[0].alpha, ends[1].alpha)
        fields: tuple[Field, Field] | None = None
        for t in map(float, positions):
            if t in (0.0, 1.0):
                end = first if t == 0 else second
                yield end.image, end.alpha, end.shape
                continue
            fields = fields or correspondence(first, second, self._config.correspondence.in_window(scale))
            passing = self._passing(fields, (_presence(first), _presence(second)), t, self._config.tear * width_px)
            moved = ends[0].moved(-t * passing), ends[1].moved((1 - t) * passing)
            layers = _blended(ends, moved, masks, t, firm)
            if growing is not None:
                layers = _mixed(layers, _grown(ends, moved, passing, growing, t), firm)
            yield _finished(layers)

    def _passing(
        self,
        fields: tuple[Field, Field],
        presences: tuple[NDArray[np.float32], NDArray[np.float32]],
        t: float,
        tear_px: float,
    ) -> Field:
        """The displacement, from first to second, of the point that passes each pixel at position t."""
        from perse.morphing.splat_kernels import drop_vectors

        (forth, back), (h, w) = fields, fields[0].shape[:2]
        sums = np.zeros((h, w, 3), np.float32)
        drop_vectors(forth, presences[0], t, 1 - t, 1.0, sums)
        drop_vectors(back, presences[1], 1 - t, t, -1.0, sums)
        # Narrow where vectors are dense; the wide blur speaks only where they are torn apart.
        near = cv2.GaussianBlur(sums, (0, 0), 0.7)
        far = cv2.GaussianBlur(sums, (0, 0), tear_px)
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

    picture: Num[NDArray[Any], "h w 4"]
    part: Float32[NDArray[np.float32], "h w"]
    tint: Float32[NDArray[np.float32], "3"]

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

    def within(self, whole: _Layers, core: Core, share: float, rounding_px: float) -> _Layers:
        """Only as much of a part as there can be: what is pulled out never crosses what the whole end has not, has no
        shreds, and shows itself gradually, because at first it is a few pixels drawn out of very many."""
        reach = (2 * cv2.GaussianBlur(whole.part, (0, 0), 0.7)).clip(0, 1)
        shown = core.inside + (1 - core.inside) * min(1.0, share / _FULLY_SHOWN)
        part = np.minimum(_without_shreds(self.part, rounding_px), reach)
        return replace(self, part=np.asarray(part * shown, np.float32))

    def without_rim(self, core: Core) -> _Layers:
        """The same, but the outermost pixels of what is pulled out have the colour of those further in. What is behind
        them shows in them, and would become an outline: a black one of a white beard before a black collar."""
        inner = cv2.erode(self.part, np.ones((2 * _RIM_PX + 1,) * 2, np.uint8))
        total = cv2.GaussianBlur(inner, (0, 0), _RIM_PX)
        spread = cv2.GaussianBlur(self.picture * inner[..., None], (0, 0), _RIM_PX)
        rim = (self.part > 0.5) & (inner < 0.5) & (total > 0.02) & (core.inside < 0.5)
        picture = self.picture.copy()
        picture[rim] = np.round(spread[rim] / total[rim][:, None])
        return replace(self, picture=picture)

    def where_it_was(self, whole: _Layers, core: Core, growth: float) -> _Layers:
        """With the rim of the whole end where pulling moves it by less than its own width, so that all of what is out
        becomes the end, and no dark line is seen before it is where it belongs."""
        moved = np.linalg.norm(core.away, axis=2) * np.float32(1 - growth)
        share = np.clip(1 - moved / _RIM_PX, 0, 1)
        return replace(self, picture=cv2.blendLinear(self.picture, whole.picture, 1 - share, share))

    def moved(self, field: Field) -> _Layers:
        return replace(self, picture=sampled(self.picture, field), part=sampled(self.part, field))


_Finished = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]
"""Image [h, w, 3] on white, alpha [h, w] and part [h, w]."""

_Mixture = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Straight colour [h, w, 3] from 0 to 255, alpha [h, w] and part [h, w]."""


def _blended(
    ends: tuple[_Layers, _Layers], moved: tuple[_Layers, _Layers], masks: tuple[Meeting, Meeting], t: float, firm: float
) -> _Mixture:
    """Position t of two ends, given as they are and moved to t, and what their parts and outlines have in common."""
    part, alpha = (meeting.at(t, firm) for meeting in masks)
    color, first_share = _colors(ends, moved, t, part)
    missing = part * (1 - t - first_share)  # of the first end's share, or the opposite of excess
    color = color + (firm * missing)[..., None] * (ends[0].tint - ends[1].tint)
    return np.clip(color, 0, 255), alpha, part


@dataclass(frozen=True)
class _Growing:
    """The core of two ends, and of either how it grows out of it."""

    core: Core
    ends: tuple[_Pulled | _Uncovered, _Pulled | _Uncovered]

    @classmethod
    def of(cls, ends: tuple[_Layers, _Layers], category: Category | None, width_px: int) -> _Growing | None:
        core = Core.of(ends[0].part > 0.5, ends[1].part > 0.5, width_px)
        if core is None:
            return None
        if category in UNCOVERED:
            seen = np.asarray(cv2.absdiff(ends[0].picture, ends[1].picture).mean(2) + 1, np.float32)
            return cls(
                core, (_Uncovered.of(ends[0], core, seen, width_px), _Uncovered.of(ends[1], core, seen, width_px))
            )
        return cls(core, (_Pulled.of(ends[0], core), _Pulled.of(ends[1], core)))


@dataclass(frozen=True)
class _Pulled:
    """An end that is pulled out of the core: as it is and without its rim, and how much of it shows outside of the core
    at which growth (`Core.areas`)."""

    end: _Layers
    core: Core
    rimless: _Layers
    areas: Float64[NDArray[np.float64], " _"]

    @classmethod
    def of(cls, end: _Layers, core: Core) -> _Pulled:
        return cls(end, core, end.without_rim(core), core.areas(end.part))

    def at(self, share: float, moving: Field) -> _Layers:
        """A share of it outside of the core; inside, what it shows is moved."""
        growth = growth_of(self.areas, share)
        out = self.rimless.where_it_was(self.end, self.core, growth).moved(moving + self.core.pulled(growth))
        return out.within(self.end, self.core, share, self.core.rounding_px * (1 - growth))


@dataclass(frozen=True)
class _Uncovered:
    """An end that is uncovered from the core on."""

    end: _Layers
    core: Core
    uncovering: Uncovering

    @classmethod
    def of(cls, end: _Layers, core: Core, seen: Float32[NDArray[np.float32], "h w"], width_px: int) -> _Uncovered:
        """How much of it is `seen` against the other end says how fast."""
        return cls(end, core, Uncovering.of(core, seen * (end.part > 0.5), width_px))

    def at(self, share: float, moving: Field) -> _Layers:
        """See `_Pulled.at`."""
        out = self.end.moved(moving)
        shown = self.core.inside + (1 - self.core.inside) * self.uncovering.shown(share)
        return replace(out, part=np.asarray(out.part * shown, np.float32))


def _grown(
    ends: tuple[_Layers, _Layers], moved: tuple[_Layers, _Layers], passing: Field, growing: _Growing, t: float
) -> _Mixture:
    """The same, where what only one end has grows out of what both have."""
    inside = growing.core.inside[..., None]
    first = growing.ends[0].at(1 - t, inside * (-t * passing))
    second = growing.ends[1].at(t, inside * ((1 - t) * passing))
    under, under_alpha = _under(ends, moved, t)

    weights = (1 - t) * first.part + 1e-6, t * second.part + 1e-6
    total = weights[0] + weights[1]
    over = sum(w[..., None] * end.picture[..., :3] for w, end in zip(weights, (first, second), strict=True))
    over_alpha = (weights[0] * first.alpha + weights[1] * second.alpha) / total
    straight = over / (total * np.maximum(over_alpha, 1e-3))[..., None]
    missing = 1 - t - weights[0] / total  # of the first end's share, or the opposite of excess
    whose = np.where((missing > 0)[..., None], ends[1].tint, ends[0].tint)
    alike = np.exp(-0.5 * ((straight - whose) ** 2).sum(-1) / _TINTED**2)  # hair below a hat keeps its colour
    straight = straight + (alike * missing)[..., None] * (ends[0].tint - ends[1].tint)
    part = np.maximum(first.part, second.part)
    # The rim of one end may lie in the middle of the other: the more opaque of the two covers.
    shown = min(1.0, (1 - t) / _FULLY_SHOWN), min(1.0, t / _FULLY_SHOWN)
    covered = np.maximum(shown[0] * first.part * first.alpha, shown[1] * second.part * second.alpha)
    alpha = covered + (1 - covered) * under_alpha
    mixed = covered[..., None] * np.clip(straight, 0, 255) + ((1 - covered) * under_alpha)[..., None] * under
    return np.clip(mixed / np.maximum(alpha, 1e-3)[..., None], 0, 255), alpha, part


def _without_shreds(part: NDArray[np.float32], rounding_px: float) -> NDArray[np.float32]:
    """A soft mask without what is thinner than a rounding: neighbours that are pulled to different places tear."""
    if rounding_px < _LEAST_ROUNDING_PX:
        return part
    around = cv2.GaussianBlur(part, (0, 0), rounding_px)
    return np.asarray(np.minimum(part, np.clip(_EDGE * (around - 0.5) + 0.5, 0, 1)), np.float32)


def _under(ends: tuple[_Layers, _Layers], moved: tuple[_Layers, _Layers], t: float) -> tuple[Any, NDArray[np.float32]]:
    """Straight colour [h, w, 3] and alpha [h, w] of what is behind the part, from whoever does not show the part. It
    stays where it is while parts change: moved, a cheek would shine through beside a beard."""
    color, opaque, alpha, total = np.zeros((*ends[0].part.shape, 3), np.float32), 1e-9, 0.0, 0.0
    samples = (*_weighted(ends, moved, t)[:2], (ends[0], _STILL * (1 - t)), (ends[1], _STILL * t))
    for (end, weight), still in zip(samples, (False, False, True, True), strict=True):
        rim = cv2.dilate(end.part, np.ones((5, 5), np.uint8))  # pixels beside the part that show some of its colour
        share = weight * (1e-6 + 1e-3 * np.clip(1 - end.part, 0, 1) + np.clip(1 - rim, 0, 1))
        color = color + share[..., None] * end.picture[..., :3]
        opaque = opaque + share * end.alpha
        if still:  # a moved silhouette would be one of the part's
            alpha, total = alpha + share * end.alpha, total + share
    return color / np.asarray(opaque)[..., None], np.asarray(alpha / total, np.float32)


def _weighted(ends: tuple[_Layers, _Layers], moved: tuple[_Layers, _Layers], t: float) -> list[tuple[_Layers, float]]:
    """The four samples of a pixel, and what each counts."""
    return list(zip((*moved, *ends), (1 - t, t, _UNMOVED * (1 - t), _UNMOVED * t), strict=True))


def _colors(
    ends: tuple[_Layers, _Layers], moved: tuple[_Layers, _Layers], t: float, part: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Straight colour [h, w, 3] of the samples that agree about the part, and the first end's share [h, w] in it."""
    opaque, color = [], np.zeros((*part.shape, 3), np.float32)
    wanted = cv2.GaussianBlur(part, (0, 0), _DRAWN_PX)
    for end, weight in _weighted(ends, moved, t):
        agrees = 1 - np.abs(cv2.GaussianBlur(end.part, (0, 0), _DRAWN_PX) - wanted)
        share = weight * (1e-4 + np.clip(agrees, 0, 1))  # a sample counts as far as it agrees
        opaque.append(share * end.alpha)
        color = color + share[..., None] * end.picture[..., :3]
    total = opaque[0] + opaque[1] + opaque[2] + opaque[3] + 1e-6
    return color / total[..., None], (opaque[0] + opaque[2]) / total


def _mixed(fading: _Mixture, growing: _Mixture, firm: float) -> _Mixture:
    """As far as shapes can grow into each other they do, the rest fades."""
    alpha = firm * growing[1] + (1 - firm) * fading[1]
    color = firm * (growing[0] * growing[1][..., None]) + (1 - firm) * (fading[0] * fading[1][..., None])
    return color / np.maximum(alpha, 1e-3)[..., None], alpha, firm * growing[2] + (1 - firm) * fading[2]


def _finished(mixture: _Mixture) -> _Finished:
    color, alpha, part = mixture
    image = np.clip(color, 0, 255) * alpha[..., None] + 255 * (1 - alpha[..., None])
    return np.round(image).astype(np.uint8), np.round(255 * alpha).astype(np.uint8), part > 0.5


def _differs(first: MorphEnd, second: MorphEnd) -> NDArray[np.bool_]:
    """[h, w]: where the two are not the same."""
    return (first.image != second.image).any(-1) | (first.alpha != second.alpha) | (first.shape != second.shape)


def _cut(end: MorphEnd, window: Window) -> MorphEnd:
    """A window of an end."""
    corner = np.array([window[1].start, window[0].start], np.float32)
    landmarks = end.landmarks_px.copy()
    landmarks[:, :2] -= corner
    return replace(
        end, image=end.image[window], alpha=end.alpha[window], shape=end.shape[window], landmarks_px=landmarks
    )


def _presence(end: MorphEnd) -> NDArray[np.float32]:
    """Weights [h, w] of the vectors that start at an end's pixels."""
    return np.asarray(end.alpha / 255 + _STANDING, np.float32)
