"""Distances of two pictures. Pictures are float32 [..., h, w, 3] in [0, 1]."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

MAX_PSNR_DB = 60.0
"""Equal pictures would have an infinite PSNR; this is more than eight bits can show."""


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of an error of pictures in [0, 1]."""
    return min(MAX_PSNR_DB, -10 * math.log10(max(mean_squared_error, 1e-12)))


def squared_error(
    a: Float[Tensor, "*f h w 3"], b: Float[Tensor, "*f h w 3"], mask: Bool[NDArray[np.bool_], "*f h w"] | None = None
) -> float:
    """Mean squared error over all pixels, or over those of a mask [..., h, w]; nan where the mask is empty."""
    error = (a - b).square().mean(-1)
    if mask is None:
        return float(error.mean())
    chosen = error[torch.from_numpy(mask)]
    return float(chosen.mean()) if len(chosen) else math.nan


def absolute_difference(
    a: Float[Tensor, "*f h w 3"], b: Float[Tensor, "*f h w 3"], mask: Bool[NDArray[np.bool_], "*f h w"]
) -> float:
    """Mean absolute difference over the pixels of a mask [..., h, w]; nan where the mask is empty."""
    chosen = (a - b).abs().mean(-1)[torch.from_numpy(mask)]
    return float(chosen.mean()) if len(chosen) else math.nan
