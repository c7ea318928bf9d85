"""Positions of morphs at equal visual steps (D 4.5): where to put α so that neighbours look equally different."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8

from perse.losses import VggLoss
from perse.losses.images import multiscale_ssim

Picture = UInt8[np.ndarray, "h w 3"]


class PictureDistance(Protocol):
    """Measure of how different two pictures look."""

    def __call__(self, first: Picture, second: Picture) -> float:
        """0 for the same picture."""
        ...


@dataclass(frozen=True, kw_only=True)
class RescheduleConfig:
    """Configuration of rescheduling: rendered twice, once to measure the pace and once to even it out."""

    vgg: Path | None = None
    """A VGG-16 checkpoint (safetensors) for the distance; None takes sqrt(1 − MS-SSIM), which needs no weights."""

    def build(self) -> PictureDistance:
        """Distance by which the pace is measured, with its network in memory.

        Raises:
            MissingWeightsError: the checkpoint is not there or is another network's.
        """
        return _StructuralDistance() if self.vgg is None else _VggDistance(VggLoss(self.vgg))


def even_positions(positions: Sequence[float], distances: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """Positions α at which the wanted shares of the way have been covered.

    Args:
        positions: where pictures were looked at, ascending, 0 and 1 included.
        distances: between neighbours, one fewer.
        wanted: shares of the whole way, in [0, 1].
    """
    covered = np.concatenate([[0.0], np.cumsum(distances)])
    if covered[-1] <= 0:
        return list(wanted)
    return [float(t) for t in np.interp(wanted, covered / covered[-1], positions)]


class _StructuralDistance:
    def __call__(self, first: Picture, second: Picture) -> float:
        likeness = multiscale_ssim(*(_unit(image) for image in (first, second)))
        return float((1 - likeness).clamp(min=0).sqrt())


@dataclass(frozen=True)
class _VggDistance:
    loss: VggLoss

    def __call__(self, first: Picture, second: Picture) -> float:
        with torch.no_grad():
            return float(self.loss(*(_unit(image) for image in (first, second))))


def _unit(image: Picture) -> Float[torch.Tensor, "1 h w 3"]:
    return torch.from_numpy(np.ascontiguousarray(image))[None].float() / 255
