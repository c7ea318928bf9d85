"""Assembly of a `Morph` from a teacher's pictures: exact ends, masks, batches that shrink when memory is short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from perse.attributes import CATEGORY_PARTS
from perse.errors import GenerationError
from perse.morphing.membership import firmness, membership
from perse.morphing.morpher import Morph, MorphCost, MorphEnd
from perse.synthesis.production.generation import Batches
from perse.synthesis.production.segmenter import Segmenter

Picture = UInt8[np.ndarray, "h w 3"]

LESS_MEMORY = "choose a smaller size_px, or a larger GPU"
"""What to do where a teacher does not fit."""


def rendered(
    batches: Batches[float], positions: Sequence[float], render: Callable[[Sequence[float]], list[Picture]]
) -> list[Picture]:
    """Pictures at positions, as many at once as memory holds.

    Raises:
        GenerationError: not even one picture fits, or one cannot be used.
    """
    images = batches.run(positions, lambda part: list(render(part)))
    for image in images:
        if isinstance(image, GenerationError):
            raise image
    return [image for image in images if not isinstance(image, GenerationError)]


def morph_of(
    first: MorphEnd,
    second: MorphEnd,
    positions: Sequence[float],
    inner: dict[float, Picture],
    segmenter: Segmenter | None,
    cost: MorphCost,
) -> Morph:
    """Morph of pictures at positions: the ends themselves at 0 and 1, `inner` between them, each with its masks."""
    pictures = [_end_or(first, second, t, inner) for t in positions]
    masks = [_masks(first, second, t, picture, segmenter) for t, picture in zip(positions, pictures, strict=True)]
    h, w = first.alpha.shape
    return Morph(
        positions=np.asarray(positions, np.float32),
        images=np.stack(pictures) if pictures else np.zeros((0, h, w, 3), np.uint8),
        alphas=np.stack([alpha for alpha, _ in masks]) if masks else np.zeros((0, h, w), np.uint8),
        shapes=np.stack([shape for _, shape in masks]) if masks else np.zeros((0, h, w), np.bool_),
        cost=cost,
    )


def _end_or(first: MorphEnd, second: MorphEnd, t: float, inner: dict[float, Picture]) -> Picture:
    return first.image if t == 0 else second.image if t == 1 else inner[t]


def _masks(
    first: MorphEnd, second: MorphEnd, t: float, picture: Picture, segmenter: Segmenter | None
) -> tuple[UInt8[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Alpha and the edited part: parsed in the picture, or what lies between those of the ends."""
    if t in (0, 1):
        end = first if t == 0 else second
        return end.alpha, end.shape
    if segmenter is not None and first.category is not None and segmenter.knows(first.category):
        parsed = segmenter.segment(picture)
        return parsed.person, np.isin(parsed.labels, [int(part) for part in CATEGORY_PARTS[first.category]])
    firm = firmness(first.shape, second.shape)
    opaque = [np.asarray(end.alpha / 255, np.float32) for end in (first, second)]
    alpha = membership(opaque[0], opaque[1], t, firm)
    shape = membership(first.shape.astype(np.float32), second.shape.astype(np.float32), t, firm)
    return np.round(255 * alpha).astype(np.uint8), shape > 0.5
