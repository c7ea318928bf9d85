"""Overlapping windows of long videos: motion modules know 24 frames at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Window = tuple[int, int]
"""First frame, and the one after the last."""


def context_windows(frames: int, length: int, overlap: int) -> list[Window]:
    """Windows of one length that cover all frames; neighbours share at least `overlap` frames.

    A clip that is shorter than a window is one window of its own length; the last window ends with the last frame and
    shares more, where the lengths do not fit.

    Raises:
        ValueError: a window must be longer than its overlap.
    """
    if not 0 <= overlap < length:
        raise ValueError(f"windows of {length} frames cannot share {overlap}")
    if frames <= length:
        return [(0, frames)]
    starts = [*range(0, frames - length, length - overlap), frames - length]
    return [(start, start + length) for start in starts]


def window_weights(length: int, overlap: int) -> Float[Tensor, " length"]:
    """Weights [length] of a window's frames: they rise over the overlap, are 1 inside, and fall again."""
    place = torch.arange(length, dtype=torch.float32)
    rise = (place + 1) / (overlap + 1)
    fall = (length - place) / (overlap + 1)
    return torch.minimum(rise, fall).clamp(max=1)


def blended(
    predict: Callable[[int, int], Float[Tensor, "..."]], frames: int, length: int, overlap: int, axis: int
) -> Float[Tensor, "..."]:
    """Predictions of all windows, blended where they overlap: each frame is a weighted mean.

    Args:
        predict: first frame and the one after the last, to the prediction for these frames.
        axis: of the frames in a prediction.
    """
    total: Tensor | None = None
    weight = torch.zeros(frames)
    for start, end in context_windows(frames, length, overlap):
        weights = window_weights(end - start, overlap)
        part = predict(start, end).movedim(axis, 0)
        if total is None:
            total = part.new_zeros((frames, *part.shape[1:]))
        total[start:end] += part * _column(weights, part)
        weight[start:end] += weights
    assert total is not None, "there is always a window"
    return (total / _column(weight, total)).movedim(0, axis)


def _column(weights: Float[Tensor, " n"], like: Float[Tensor, "..."]) -> Tensor:
    return weights.to(like).reshape(-1, *[1] * (like.ndim - 1))
