"""Dense correspondence of two pictures of the same pose: landmarks first, then dense inverse search flow.

Flow (Kroeger et al. 2016) cannot follow a change of colour, so it is not shown the pictures but *guides* made of them.

The **drawing** guide has the edited part at one level whatever its colour, with its inner drawing on top, and the rest
as it is: black hair matches blond hair, and what did not change matches itself.

The **outline** guide has signed distances to the part's outline and to the silhouette. They slope everywhere, so that
the outline of a beanie finds that of a top hat over many pixels. It serves inside of the part alone, and as far as the
two parts overlap: a moustache has nothing to say about a full beard's outline.

A flow is believed where going there and back ends where it began, carried from there to where it does not, and faded to
zero where the pictures are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8

from perse.morphing.morpher import MorphEnd

Field = Float32[np.ndarray, "h w 2"]
Levels = UInt8[np.ndarray, "h w"]
Shape = Bool[np.ndarray, "h w"]
"""A vector field [h, w, 2]: displacement in x and y, pixels."""

_PART_LEVEL, _REST_LEVEL, _DETAIL = 0.25, 0.35, 0.5
_SILHOUETTE = 0.35
_LANDMARK_GRID = 17
_PART_RIM_PX = 3.0
_CARRY_PX = 4.0


@dataclass(frozen=True, kw_only=True)
class CorrespondenceConfig:
    """Numbers of the correspondence. Lengths are shares of the picture's width."""

    reach: float = 0.14
    """Signed distances are cut off here; outlines farther apart than about this fade instead of moving."""
    landmark_reach: float = 0.03
    """Standard deviation of the area that follows a landmark."""
    agreement: float = 0.006
    """How far there and back may miss before the flow of drawings is doubted."""
    outline_agreement: float = 0.03
    """The same for the flow of outlines, which bends more: a rim that unfolds has no exact way back."""
    seen_difference: float = 6.0
    """Grey levels from which a pixel counts as different."""

    def in_window(self, scale: float) -> CorrespondenceConfig:
        """Configuration for a window of the picture that is `scale` times narrower: the same lengths."""
        return replace(
            self,
            reach=scale * self.reach,
            landmark_reach=scale * self.landmark_reach,
            agreement=scale * self.agreement,
            outline_agreement=scale * self.outline_agreement,
        )


def correspondence(first: MorphEnd, second: MorphEnd, config: CorrespondenceConfig) -> tuple[Field, Field]:
    """Vector fields from the first picture to the second and back, each on its own picture's pixels: x lies at x +
    field(x)."""
    start = _landmark_field(first, second, config)
    drawing = _both_ways(_drawing(first), _drawing(second), start, first, second, config.agreement)
    changed = _changed(first, second, config)[..., None]
    shared = _overlap(first.shape, second.shape)
    if shared > 0:
        outlines = _outline(first, config), _outline(second, config)
        outline = _both_ways(*outlines, start, first, second, config.outline_agreement)
        shares = [shared * _softened(end.shape)[..., None] for end in (first, second)]
        drawing = tuple(
            (1 - share) * drawn + share * led for share, drawn, led in zip(shares, drawing, outline, strict=True)
        )  # type: ignore[assignment]
    return drawing[0] * changed, drawing[1] * changed


def _drawing(end: MorphEnd) -> Levels:
    gray = cv2.cvtColor(end.image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    guide = _REST_LEVEL + _DETAIL * gray
    if end.shape.any():
        guide[end.shape] = _PART_LEVEL + _DETAIL * (gray[end.shape] - gray[end.shape].mean())
    guide *= end.alpha.astype(np.float32) / 255
    return cv2.GaussianBlur(_bytes(guide), (0, 0), 0.8)


def _outline(end: MorphEnd, config: CorrespondenceConfig) -> Levels:
    reach_px = config.reach * end.alpha.shape[1]
    outline, silhouette = _signed_distance(end.shape, reach_px), _signed_distance(end.alpha > 127, reach_px)
    return _bytes((1 - _SILHOUETTE) * outline + _SILHOUETTE * silhouette)


def _signed_distance(shape: Shape, reach_px: float) -> Float32[np.ndarray, "h w"]:
    """0.5 on the outline, 1 at `reach_px` inside, 0 at `reach_px` outside."""
    inside = cv2.distanceTransform(shape.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~shape).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(0.5 + 0.5 * np.clip((inside - outside) / reach_px, -1, 1), np.float32)


def _overlap(first: Shape, second: Shape) -> float:
    """How much the outline of one part tells about the other: 0 where they share a fifth or less, 1 from a half on."""
    union = int((first | second).sum())
    ratio = int((first & second).sum()) / union if union else 0.0
    return float(np.clip((ratio - 0.2) / 0.3, 0, 1))


def _softened(shape: Shape) -> Float32[np.ndarray, "h w"]:
    """One inside of the part and at its rim, falling smoothly to zero."""
    size = 2 * int(2 * _PART_RIM_PX) + 1
    wide = cv2.dilate(shape.astype(np.float32), np.ones((size, size), np.uint8))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), _PART_RIM_PX), np.float32)


def _both_ways(
    source: Levels,
    target: Levels,
    start: Field | None,
    first: MorphEnd,
    second: MorphEnd,
    agreement: float,
) -> tuple[Field, Field]:
    """The flow between two guides and back, each corrected by the other."""
    forth = _flow(source, target, start)
    back = _flow(target, source, None if start is None else -start)
    agreement_px = agreement * source.shape[1]
    return _trusted(forth, back, first.alpha, agreement_px), _trusted(back, forth, second.alpha, agreement_px)


def _flow(source: Levels, target: Levels, start: Field | None) -> Field:
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    solver.setFinestScale(1)
    return np.asarray(solver.calc(source, target, None if start is None else start.copy()), np.float32)


def _landmark_field(first: MorphEnd, second: MorphEnd, config: CorrespondenceConfig) -> Field | None:
    """The landmarks' displacements, spread over the picture; None where none moves."""
    here, there = first.landmarks_px[:, :2], second.landmarks_px[:, :2]
    if not len(here) or float(np.abs(there - here).max()) < 0.25:
        return None
    h, w = first.alpha.shape
    ys, xs = np.linspace(0, h, _LANDMARK_GRID), np.linspace(0, w, _LANDMARK_GRID)
    grid = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 1, 2)
    reach_px = max(config.landmark_reach * w, w / (_LANDMARK_GRID - 1) / 2)
    weights = np.exp(-0.5 * ((grid - here) ** 2).sum(-1) / reach_px**2)  # [g, l]
    # The constant pulls the field to zero away from the face.
    field = weights @ (there - here) / (weights.sum(1, keepdims=True) + 0.05)
    coarse = field.reshape(_LANDMARK_GRID, _LANDMARK_GRID, 2).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)


def _changed(first: MorphEnd, second: MorphEnd, config: CorrespondenceConfig) -> Float32[np.ndarray, "h w"]:
    """One where the pictures differ, and a little around; falling smoothly to zero."""
    difference = np.maximum(cv2.absdiff(first.image, second.image).max(2), cv2.absdiff(first.alpha, second.alpha))
    differs = (difference > config.seen_difference).astype(np.float32)
    wide = cv2.dilate(differs, np.ones((5, 5), np.uint8))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), 3.0), np.float32)


def _trusted(flow: Field, opposite: Field, alpha: Levels, agreement_px: float) -> Field:
    """The flow where the opposite one leads back, spread to where it does not."""
    missed = sampled(opposite, flow) + flow
    agreement = np.exp(-0.5 * (missed**2).sum(-1) / agreement_px**2)
    # Outside of the figure there is nothing to follow.
    confidence = agreement * (0.02 + alpha.astype(np.float32) / 255)
    weights = cv2.GaussianBlur(confidence, (0, 0), _CARRY_PX)[..., None]
    carried = cv2.GaussianBlur(flow * confidence[..., None], (0, 0), _CARRY_PX) / (weights + 1e-3)
    own = agreement[..., None]
    return np.asarray(own * flow + (1 - own) * carried, np.float32)


def sampled(
    values: Shaped[np.ndarray, "h w *c"], field: Field, *, border: int = cv2.BORDER_REPLICATE
) -> Shaped[np.ndarray, "h w *c"]:
    """Values at the end of each vector of a field."""
    h, w = field.shape[:2]
    ys, xs = np.indices((h, w), np.float32)
    return np.asarray(cv2.remap(values, xs + field[..., 0], ys + field[..., 1], cv2.INTER_LINEAR, borderMode=border))


def _bytes(values: Float32[np.ndarray, "h w"]) -> Levels:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
