"""Records of the backs: what they are made from, and what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int
from torch import Tensor

from perse.avatar.observation import Observation
from perse.avatar.points import MeshPrior


@dataclass(frozen=True)
class SeenFront:
    """Appearance of the front's points in the clips.

    Attributes:
        prior: of m points.
        layers: [m], values of `Layer`.
        observation: of the same points in all subjects.
        present: [s, m] whether a subject shows something there.
        n_frames: that were looked at.
    """

    prior: MeshPrior
    layers: Int[Tensor, " m"]
    observation: Observation
    present: Bool[np.ndarray, "s m"]
    n_frames: int


@dataclass(frozen=True)
class Backs:
    """Points behind, ready to be appended to those in front.

    Attributes:
        prior, attributes [n, 14], regions [n, k], edits [s, n, 14]: as of `StartingPoints`.
    """

    prior: MeshPrior
    attributes: Float[Tensor, "n 14"]
    regions: Bool[Tensor, "n k"]
    edits: Float[Tensor, "s n 14"]


@dataclass(frozen=True)
class SubjectBack:
    """One subject's back: means [n, 3] metres, colors [n, 3] in [0, 1], present [n]."""

    means: Float64[np.ndarray, "n 3"]
    colors: Float32[np.ndarray, "n 3"]
    present: Bool[np.ndarray, " n"]
